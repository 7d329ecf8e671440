"""From a request to what the engine is asked: model, engine, rows of tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from service.api.chat.codecs import CodecCache
from service.api.chat.planning import TargetFinder
from service.api.classify.requests import Classify
from service.api.embeddings.codecs import EmbeddingCodecCache
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.models import Delta, EmbeddingModel
from service.core.engine_protocol import ClassifyRequest, DeltaRef, EngineState, ModelRef
from service.core.errors import ContextLengthExceeded, EngineUnavailable, InvalidRequest
from service.core.repositories.embedders import EmbedderRepository
from service.core.repositories.models import ModelRepository
from service.core.repositories.registry import RegistryRepository
from service.core.text.messages import Message

_MAX_TOKENS = 300_000

Encode = Callable[[str | list[Message]], Sequence[int]]


@dataclass(frozen=True)
class ClassifyPlan:
    """A request, pinned to its model and to who answers for it."""

    engine_url: str
    request: ClassifyRequest

    @property
    def tokens(self) -> int:
        return sum(map(len, self.request.rows))


class ClassifyPlanner:
    """Blocks: looks the model up, tokenises."""

    def __init__(
        self, database: Database, codecs: CodecCache, embedding_codecs: EmbeddingCodecCache
    ) -> None:
        self._database = database
        self._embedding_codecs = embedding_codecs
        self._targets = TargetFinder(database, codecs)

    def plan(self, principal: Principal, body: Classify) -> ClassifyPlan:
        """Raises ModelNotFound, EngineUnavailable, ChatTemplateError, ContextLengthExceeded, and
        InvalidRequest for a model without a head."""
        with self._database.snapshot() as connection:
            if EmbedderRepository(connection).find(body.model) is not None:
                raise _has_no_head(f"{body.model!r} is an embedding model")
            models = ModelRepository(connection, principal.scope)
            found = models.find_on_embedder(body.model)
            engines = (
                RegistryRepository(connection).live_embedding_engines(model=found[0].name)
                if found
                else []
            )
        if found:
            return self._plan_on_embedder(principal, body, found[0], found[1], engines)
        target = self._targets.find(principal, body.model)
        if target.model.delta is None:
            raise _has_no_head(f"{body.model!r} is a base model")
        encode = partial(target.codec.encode_judged, tools=body.tools)
        rows = _rows(body, encode, target.context_length)
        request = ClassifyRequest(tenant=target.tenant, model=target.model, rows=rows)
        return ClassifyPlan(target.engine_url, request)

    def _plan_on_embedder(
        self,
        principal: Principal,
        body: Classify,
        embedder: EmbeddingModel,
        delta: Delta,
        engines: Sequence[EngineState],
    ) -> ClassifyPlan:
        if not engines:
            raise EngineUnavailable(f"no live engine holds {embedder.name!r}")
        codec = self._embedding_codecs.get(embedder)

        def encode(given: str | list[Message]) -> Sequence[int]:
            if not isinstance(given, str):
                raise InvalidRequest(
                    f"This model stands on the embedding model {embedder.name}, which reads texts "
                    "and no conversations.",
                    param="input",
                )
            return codec.encode(given)

        ref = DeltaRef(id=delta.digest, key=delta.key, digest=delta.digest)
        request = ClassifyRequest(
            tenant=principal.scope.project_id,
            model=ModelRef(base=embedder.name, delta=ref),
            rows=_rows(body, encode, embedder.context_length),
        )
        return ClassifyPlan(engines[0].url, request)


def _has_no_head(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what} and has no head. Train one with a job of method 'classification' or "
        "'reward_model', and name its fine_tuned_model here.",
        param="model",
    )


def _rows(body: Classify, encode: Encode, context_length: int) -> tuple[tuple[int, ...], ...]:
    rows = tuple(tuple(encode(given)) for given in body.inputs)
    for index, row in enumerate(rows):
        if len(row) > context_length:
            raise ContextLengthExceeded(
                f"Input {index} has {len(row)} tokens, and {body.model} takes {context_length}; "
                "shorten it.",
                param="input",
            )
    total = sum(map(len, rows))
    if total > _MAX_TOKENS:
        raise InvalidRequest(
            f"The input has {total} tokens together, more than the {_MAX_TOKENS} of one request; "
            "send it in several.",
            param="input",
        )
    return rows
