"""Local files on their way to the server, from commands that take a file here or an id."""

import os
from contextlib import suppress
from pathlib import Path

import typer

from tunery._cli.output import hint, upload_bar
from tunery._parts import UploadState
from tunery._sync import Tunery
from tunery._types import File


def upload_with_bar(client: Tunery, path: Path, *, purpose: str = "fine-tune") -> File:
    """Send a local file and show how far it is. A large one that is broken off goes on from there
    the next time: what has arrived is noted beside it."""
    note = path.with_name(f".{path.name}.tunery-upload")
    state = _noted(note)
    with upload_bar() as bar:
        task = bar.add_task(path.name, total=path.stat().st_size)
        try:
            file = client.files.upload(
                path,
                purpose=purpose,
                on_progress=lambda sent, total: bar.update(task, completed=sent, total=total),
                state=state,
            )
        except BaseException:
            if state.parts:
                _keep(note, state)
            raise
    with suppress(OSError):
        note.unlink(missing_ok=True)
    return file


def check_file(name: str | None) -> None:
    """Raises BadParameter for what is neither a file here nor looks like the id of one."""
    if name is not None and not Path(name).is_file() and not name.startswith("file-"):
        raise typer.BadParameter(f"{name!r} is neither a file here nor the id of one, file-…")


def file_id(client: Tunery, name: str) -> str:
    """Of a file that is on the server from now on."""
    path = Path(name)
    return upload_with_bar(client, path).id if path.is_file() else name


def _noted(note: Path) -> UploadState:
    try:
        return UploadState.from_json(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return UploadState()


def _keep(note: Path, state: UploadState) -> None:
    with suppress(OSError):  # a folder that cannot be written costs the parts, not the message
        note.write_text(state.to_json(), encoding="utf-8")
        os.chmod(note, 0o600)
        hint(f"{len(state.parts)} parts have arrived; the same command within an hour goes on.")
