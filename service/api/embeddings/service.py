"""Embeddings: tokenised in a thread, computed by an engine that holds the model."""

from dataclasses import dataclass

from anyio.to_thread import run_sync

from service.api.embeddings.codecs import EmbeddingCodecCache
from service.api.embeddings.requests import CreateEmbeddings
from service.api.embeddings.schemas import Embedding, EmbeddingList, EmbeddingUsage
from service.api.token_meter import TokenMeter
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.models import EmbeddingModel
from service.core.engine_client import EmbeddingClient
from service.core.engine_protocol import EmbedRequest, unpack_vector
from service.core.errors import ContextLengthExceeded, EngineUnavailable, InvalidRequest
from service.core.repositories.embedders import EmbedderRepository
from service.core.repositories.registry import RegistryRepository
from service.core.text import EmbeddingCodec

_MAX_TOKENS = 300_000


@dataclass(frozen=True)
class _Plan:
    engine_url: str
    request: EmbedRequest

    @property
    def tokens(self) -> int:
        return sum(map(len, self.request.rows))


class EmbeddingService:
    """Answers with vectors. The models are the operator's, and all tenants share them."""

    def __init__(
        self,
        database: Database,
        codecs: EmbeddingCodecCache,
        client: EmbeddingClient,
        meter: TokenMeter,
    ) -> None:
        self._database = database
        self._codecs = codecs
        self._client = client
        self._meter = meter

    async def create(self, principal: Principal, body: CreateEmbeddings) -> EmbeddingList:
        """Raises ModelNotFound, ContextLengthExceeded, InvalidRequest, EngineUnavailable."""
        plan = await run_sync(self._plan, principal, body)
        embedded = await self._client.embed(plan.engine_url, plan.request)
        await self._meter.count(principal, plan.tokens)
        packed = body.encoding_format == "base64"
        return EmbeddingList(
            data=[
                Embedding(index=index, embedding=vector if packed else unpack_vector(vector))
                for index, vector in enumerate(embedded.vectors)
            ],
            model=plan.request.model,
            usage=EmbeddingUsage(prompt_tokens=plan.tokens, total_tokens=plan.tokens),
        )

    def _plan(self, principal: Principal, body: CreateEmbeddings) -> _Plan:
        with self._database.snapshot() as connection:
            registry = RegistryRepository(connection)
            meanings = registry.meanings(body.model, principal.scope)
            model = EmbedderRepository(connection).get(*meanings)
            engines = registry.live_embedding_engines(model=model.name)
        if not engines:
            raise EngineUnavailable(f"no live engine holds {model.name!r}")
        codec = self._codecs.get(model)
        rows = tuple(_tokens(row, codec, model, index) for index, row in enumerate(body.rows))
        plan = _Plan(engines[0].url, EmbedRequest(model=model.name, rows=rows))
        if plan.tokens > _MAX_TOKENS:
            raise InvalidRequest(
                f"The input has {plan.tokens} tokens together, more than the {_MAX_TOKENS} of one "
                "request; send it in several.",
                param="input",
            )
        return plan


def _tokens(
    row: str | list[int], codec: EmbeddingCodec, model: EmbeddingModel, index: int
) -> tuple[int, ...]:
    tokens = codec.encode(row) if isinstance(row, str) else codec.surround(row)
    if len(tokens) > model.context_length:
        raise ContextLengthExceeded(
            f"Input {index} has {len(tokens)} tokens, and {model.name} takes "
            f"{model.context_length}; split or shorten it.",
            param="input",
        )
    if max(tokens) >= codec.vocabulary:
        raise InvalidRequest(
            f"Input {index} has the token {max(tokens)}, and {model.name} knows those below "
            f"{codec.vocabulary}; tokens are those of its own tokenizer.",
            param="input",
        )
    return tuple(tokens)
