"""From a request to what the engine is asked: model, engine, prompt tokens, sampling."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.api.chat.codecs import CodecCache
from service.api.chat.requests import CreateChatCompletion
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.models import ResolvedModel
from service.core.engine_protocol import DeltaRef, EngineRole, EngineState, ModelRef, Sampling
from service.core.errors import ContextLengthExceeded, EngineUnavailable
from service.core.repositories.models import ModelRepository
from service.core.repositories.registry import RegistryRepository
from service.core.text import TextCodec

_FINGERPRINT_CHARACTERS = 12


@dataclass(frozen=True)
class Plan:
    """A request, pinned to what its model name means at this moment."""

    engine_url: str
    tenant: str
    model: ModelRef
    fingerprint: str
    """Names the weights that answer: base, and adapter if any."""
    codec: TextCodec
    prompt: tuple[int, ...]
    samplings: tuple[Sampling, ...]
    """One for each choice."""
    stop: tuple[str, ...]


class Planner:
    """Blocks: asks the database, tokenises."""

    def __init__(self, database: Database, codecs: CodecCache) -> None:
        self._database = database
        self._codecs = codecs

    def plan(self, principal: Principal, request: CreateChatCompletion) -> Plan:
        """Raises ModelNotFound, EngineUnavailable, ChatTemplateError, ContextLengthExceeded."""
        request.check_together()
        with self._database.snapshot() as connection:
            resolved = ModelRepository(connection, principal.scope).resolve(request.model)
            engines = RegistryRepository(connection).live_engines(
                base=resolved.base.name, role=EngineRole.SERVE
            )
        engine = _choose(engines, resolved)
        codec = self._codecs.get(resolved.base)
        prompt = codec.encode_chat_prompt([message.to_message() for message in request.messages])
        max_tokens = _room(resolved.base.context_length, len(prompt), request.answer_limit)
        return Plan(
            engine_url=engine.url,
            tenant=principal.scope.project_id,
            model=_reference(resolved),
            fingerprint=_fingerprint(resolved),
            codec=codec,
            prompt=tuple(prompt),
            samplings=request.to_samplings(
                max_tokens=max_tokens, stop_token_ids=codec.stop_token_ids
            ),
            stop=tuple(request.stop or ()),
        )


def _choose(engines: Sequence[EngineState], resolved: ResolvedModel) -> EngineState:
    """An engine that has the adapter in memory, and of those the least busy."""
    if not engines:
        raise EngineUnavailable(f"no live engine serves {resolved.base.name!r}")
    digest = resolved.delta.digest if resolved.delta else None
    return min(engines, key=lambda e: (digest not in e.loaded_adapters, e.active_streams))


def _room(context_length: int, prompt_tokens: int, wanted: int | None) -> int:
    """Tokens the answer may have. Raises ContextLengthExceeded."""
    free = context_length - prompt_tokens
    if free < (wanted or 1):
        asked = f" and {wanted} for the answer" if wanted else ""
        raise ContextLengthExceeded(
            f"This model's context holds {context_length} tokens, and the request needs more: "
            f"{prompt_tokens} in the messages{asked}. Shorten the messages or the answer.",
            param="messages",
        )
    return wanted or free


def _reference(resolved: ResolvedModel) -> ModelRef:
    delta = resolved.delta
    if delta is None:
        return ModelRef(base=resolved.base.name)
    return ModelRef(
        base=resolved.base.name,
        delta=DeltaRef(id=delta.digest, key=delta.key, digest=delta.digest),
    )


def _fingerprint(resolved: ResolvedModel) -> str:
    digests = [resolved.base.digest, *([resolved.delta.digest] if resolved.delta else [])]
    return "_".join(["fp", *(digest[:_FINGERPRINT_CHARACTERS] for digest in digests)])
