"""Estimating a job: its rows are read here, its time and memory told by an engine's calibration."""

import json
from dataclasses import dataclass

from service.api.chat.codecs import CodecCache
from service.api.estimates.reading import Sizes, check_enough, given_sizes, read_sizes
from service.api.estimates.requests import EstimateJob
from service.api.estimates.schemas import (
    BoundedObject,
    CalibrationObject,
    CountObject,
    Estimate,
    HyperparametersObject,
    PriceObject,
    RowsObject,
)
from service.api.estimates.work import Counted, count_work
from service.api.fine_tuning.checks import REPLAY, check_file, check_method, place_to_start
from service.core.batching import choose_replayed
from service.core.database import Connection, Database
from service.core.datasets import Examination, LengthLimit, RowKind
from service.core.domain.access import Principal, Scope
from service.core.domain.files import File
from service.core.domain.methods import Method, UnsupervisedMethod
from service.core.domain.models import Base
from service.core.domain.tunings import LoraTuningSpec, TuningSpec
from service.core.domain.work import WorkKind
from service.core.engine_protocol import Calibration, EngineRole, EngineState
from service.core.errors import UnknownFile
from service.core.estimates import (
    Bounded,
    Prediction,
    Setting,
    SizedExample,
    Trained,
    predict,
    queue_seconds,
    trainable_parameters,
)
from service.core.hyperparameters import (
    DataSizes,
    Hyperparameters,
    ResolvedHyperparameters,
    resolve,
    row_limit,
)
from service.core.prices import find_price
from service.core.repositories.registry import RegistryRepository
from service.core.repositories.work import WorkRepository
from service.core.settings import Settings
from service.core.storage import ObjectNotFound, ObjectStore, StoredObjectSource

_TRAINING, _VALIDATION = "training_file", "validation_file"
_QUEUE_BOUND = 0.30
_DEFAULT_MICRO_BATCH = 512
_NO_CALIBRATION = (
    "No engine that holds this base has measured itself yet, so that time and memory are unknown; "
    "it does so once it has been idle for a minute or two, and with every job."
)


@dataclass(frozen=True)
class _Asked:
    """A request with all that it names."""

    model: str
    base: Base
    method: Method
    tuning: TuningSpec
    hyperparameters: Hyperparameters
    seed: int | None
    files: dict[str, File]
    engine: EngineState | None
    calibration: Calibration | None
    ahead: int
    remaining: tuple[float, ...]
    """Seconds of the jobs that run in the pool."""


class EstimateService:
    """Blocks: reads files, tokenises."""

    def __init__(
        self, database: Database, store: ObjectStore, codecs: CodecCache, settings: Settings
    ) -> None:
        self._database = database
        self._store = store
        self._codecs = codecs
        self._settings = settings

    def estimate(self, principal: Principal, request: EstimateJob) -> Estimate:
        """Raises what creating and validating such a job would, ModelNotFound, UnknownFile,
        InvalidTrainingFile and InvalidHyperparameter among it; EngineUnavailable before an engine
        has published the base's text, StorageUnavailable."""
        request.check_supported()
        asked = self._find(principal, request)
        sizes = self._read(request, asked)
        check_enough(sizes[_TRAINING], asked.method.type)
        training = _with_replay(asked, sizes)
        numbers = resolve(
            asked.hyperparameters,
            method=asked.method.type,
            tuning=asked.tuning,
            sizes=DataSizes(len(sizes[_TRAINING].examples), sizes[_TRAINING].tokens),
            parameters=asked.base.parameters,
            context_length=asked.base.context_length,
        )
        setting = _setting(asked, numbers, labels=len(sizes[_TRAINING].labels))
        validation = sizes[_VALIDATION].examples if _VALIDATION in sizes else []
        counted = count_work(
            training, validation, setting, bound=sizes[_TRAINING].bound, seed=asked.seed
        )
        if asked.calibration is None:
            prediction = Prediction(None, None, False, (_NO_CALIBRATION,))
        else:
            prediction = predict(counted.work, setting, asked.calibration)
        return self._answer(asked, sizes[_TRAINING], numbers, counted, prediction)

    def _find(self, principal: Principal, request: EstimateJob) -> _Asked:
        scope, method = principal.scope, request.to_method()
        tuning, hyperparameters = request.to_tuning(method), request.to_hyperparameters()
        with self._database.snapshot() as connection:
            name, _ = place_to_start(connection, scope, request.model)
            registry = RegistryRepository(connection)
            base = registry.find_base(name)
            assert base is not None  # what the model starts from was found a line above
            check_method(connection, scope, method)
            files = _files(connection, scope, request, method)
            engines = registry.live_engines(base=name, role=EngineRole.TRAIN)
            engine, calibration = _choose(engines, base)
            work = WorkRepository(connection)
            pool = self._settings.pool
            return _Asked(
                request.model,
                base,
                method,
                tuning,
                hyperparameters,
                request.seed,
                files,
                engine,
                calibration,
                ahead=work.waiting(WorkKind.TRAINING, pool=pool),
                remaining=tuple(work.remaining_seconds(pool=pool)),
            )

    def _read(self, request: EstimateJob, asked: _Asked) -> dict[str, Sizes]:
        wanted = asked.hyperparameters
        limit = row_limit(wanted, asked.method.type, asked.base.context_length)
        codec, kind = self._codecs.get(asked.base), RowKind.of_method(asked.method.type)
        found = {}
        for param, file in asked.files.items():
            length = LengthLimit(limit, wanted.over_length)
            examination = Examination(kind, codec, length, param=param)
            source = StoredObjectSource(self._store, file.key, file.bytes)
            try:
                found[param] = read_sizes(source, examination)
            except ObjectNotFound:  # deleted since it was looked up
                raise UnknownFile(f"No such File object: {file.id}", param=param) from None
        if request.rows is not None:
            examination = Examination(kind, codec, LengthLimit(limit, wanted.over_length))
            lines = [json.dumps(row).encode() + b"\n" for row in request.rows]
            found[_TRAINING] = given_sizes(lines, request.row_count, examination)
        return found

    def _answer(
        self,
        asked: _Asked,
        sizes: Sizes,
        numbers: ResolvedHyperparameters,
        counted: Counted,
        prediction: Prediction,
    ) -> Estimate:
        calibration, seconds = asked.calibration, prediction.seconds
        widened = None if seconds is None else _widened(seconds, sizes.bound)
        return Estimate(
            model=asked.model,
            base=asked.base.name,
            method=asked.method.type,
            tuning=asked.tuning.type,
            hyperparameters=HyperparametersObject(
                n_epochs=numbers.n_epochs,
                batch_size=numbers.batch_size,
                learning_rate_multiplier=numbers.learning_rate_multiplier,
            ),
            rows=RowsObject(
                examined=sizes.examined, examples=len(sizes.examples), is_sample=sizes.is_sample
            ),
            tokens_per_epoch=CountObject.of(counted.tokens_per_epoch),
            trained_tokens=CountObject.of(counted.trained_tokens),
            steps=CountObject.of(counted.steps),
            seconds=None if widened is None else BoundedObject.of(widened),
            queue_seconds=_queue(asked, seconds),
            peak_memory_bytes=(
                None
                if prediction.peak_memory_bytes is None
                else CountObject.of(prediction.peak_memory_bytes)
            ),
            price=self._price(asked, counted.trained_tokens),
            confident=prediction.confident and not sizes.is_sample,
            notes=[*prediction.notes, *_notes_on(sizes)],
            calibration=None
            if calibration is None or asked.engine is None
            else CalibrationObject(
                engine=asked.engine.id,
                device=calibration.device,
                observations=sum(law.observations for law in calibration.laws.values()),
            ),
        )

    def _price(self, asked: _Asked, tokens: Bounded) -> PriceObject | None:
        table = self._settings.price_table
        amount = find_price(table, base=asked.base.name, tuning=asked.tuning.type)
        if amount is None:
            return None
        price = BoundedObject.of(tokens.times(amount / 1e6), digits=6)
        return PriceObject(
            **price.model_dump(),
            currency=self._settings.price_currency,
            per_million_tokens=amount,
        )


def _files(
    connection: Connection, scope: Scope, request: EstimateJob, method: Method
) -> dict[str, File]:
    named = {_TRAINING: request.training_file, _VALIDATION: request.validation_file}
    if isinstance(method, UnsupervisedMethod):
        named[REPLAY] = method.replay_file
    return {
        param: check_file(connection, scope, file_id, param=param)
        for param, file_id in named.items()
        if file_id is not None
    }


def _choose(
    engines: list[EngineState], base: Base
) -> tuple[EngineState | None, Calibration | None]:
    """The engine that the job would be offered first, and the first that has measured itself."""
    for engine in engines:
        for calibration in engine.calibrations:
            if calibration.digest == base.digest and calibration.laws:
                return engine, calibration
    return (engines[0] if engines else None), None


def _setting(asked: _Asked, numbers: ResolvedHyperparameters, *, labels: int) -> Setting:
    calibration = asked.calibration
    if calibration is None:
        trained, micro_batch = Trained("lora", 0), _DEFAULT_MICRO_BATCH
    else:
        trained = trainable_parameters(asked.tuning, calibration.shapes, labels=max(1, labels))
        micro_batch = calibration.micro_batch_tokens
    tuning = asked.tuning
    has_dropout = isinstance(tuning, LoraTuningSpec) and tuning.dropout > 0
    return Setting(asked.method, trained, numbers, micro_batch, asked.seed or 0, has_dropout)


def _with_replay(asked: _Asked, sizes: dict[str, Sizes]) -> list[SizedExample]:
    training = sizes[_TRAINING].examples
    if not isinstance(asked.method, UnsupervisedMethod) or REPLAY not in sizes:
        return training
    replay = sizes[REPLAY].examples
    chosen = choose_replayed(
        [example.tokens for example in replay],
        own=sizes[_TRAINING].tokens,
        ratio=asked.method.replay_ratio,
        seed=asked.seed or 0,
    )
    return [*training, *(replay[place] for place in chosen)]


def _widened(seconds: Bounded, share: float) -> Bounded:
    """By what is unknown of the rows, up to the widest bound."""
    own = (seconds.high - seconds.value) / seconds.value if seconds.value else 0.0
    return Bounded.measured(seconds.value, own + share)


def _queue(asked: _Asked, seconds: Bounded | None) -> BoundedObject | None:
    if asked.engine is None or seconds is None:
        return None
    waiting = queue_seconds(
        free_slots=asked.engine.free_slots,
        ahead=asked.ahead,
        remaining=asked.remaining,
        own=seconds.value,
    )
    return BoundedObject.of(Bounded.within(waiting, _QUEUE_BOUND))


def _notes_on(sizes: Sizes) -> list[str]:
    if not sizes.is_sample:
        return []
    return [
        f"{sizes.examined} rows were tokenised; the others are taken to be like them, so that "
        "tokens, steps and price are bounds, too."
    ]
