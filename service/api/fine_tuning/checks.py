"""What a job names must exist, whether it is created or only estimated."""

from service.core.database import Connection
from service.core.domain.access import Scope
from service.core.domain.files import File, FilePurpose
from service.core.domain.jobs import StartPoint
from service.core.domain.methods import Method, RlhfMethod, UnsupervisedMethod
from service.core.errors import FileNotFound, InvalidRequest, ModelNotFound, UnknownFile
from service.core.repositories.files import FileRepository
from service.core.repositories.models import ModelRepository

REPLAY = "method.unsupervised.replay_file"


def place_to_start(
    connection: Connection, scope: Scope, name: str
) -> tuple[str, StartPoint | None]:
    """The root base of the model's line, and the model itself if it is a tuned one.

    Raises ModelNotFound.
    """
    resolved = ModelRepository(connection, scope).resolve(name)
    start = None if resolved.delta is None else StartPoint(resolved.name, resolved.delta)
    return resolved.base.name, start


def check_method(connection: Connection, scope: Scope, method: Method) -> None:
    """What the method names must exist. Raises UnknownFile, ModelNotFound, InvalidRequest."""
    if isinstance(method, UnsupervisedMethod) and method.replay_file is not None:
        check_file(connection, scope, method.replay_file, param=REPLAY)
    if isinstance(method, RlhfMethod):
        _check_reward_model(connection, scope, method.reward_model)


def _check_reward_model(connection: Connection, scope: Scope, name: str) -> None:
    place = "method.rlhf.reward_model"
    try:
        resolved = ModelRepository(connection, scope).resolve(name)
    except ModelNotFound as missing:
        raise ModelNotFound(missing.message, param=place) from None
    if resolved.delta is None:
        raise InvalidRequest(
            f"{name!r} is a base, which scores nothing; train a reward model and name that.",
            param=place,
        )


def check_file(connection: Connection, scope: Scope, file_id: str, *, param: str) -> File:
    """Raises UnknownFile, and InvalidRequest for a file of another purpose."""
    try:
        file = FileRepository(connection, scope).get(file_id)
    except FileNotFound:
        raise UnknownFile(
            f"File {file_id!r} does not exist; upload it first.", param=param
        ) from None
    if file.purpose != FilePurpose.FINE_TUNE:
        raise InvalidRequest(
            f"File {file_id!r} has the purpose {file.purpose.value!r}; upload it again with the "
            f"purpose {FilePurpose.FINE_TUNE.value!r}.",
            param=param,
        )
    return file
