"""From a request to what the engine is asked: model, engine, prompt tokens, sampling."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.api.chat.codecs import CodecCache
from service.api.chat.requests import CreateChatCompletion
from service.api.chat.tool_use import ToolUse, plan_tools
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.models import ResolvedModel
from service.core.engine_protocol import DeltaRef, EngineRole, EngineState, ModelRef, Sampling
from service.core.errors import ContextLengthExceeded, EngineUnavailable, UnsupportedParameter
from service.core.ids import new_call_id
from service.core.repositories.models import ModelRepository
from service.core.repositories.registry import RegistryRepository
from service.core.text import TextCodec

_FINGERPRINT_CHARACTERS = 12


@dataclass(frozen=True)
class Target:
    """What a model name means at this moment, and who answers for it."""

    engine_url: str
    tenant: str
    name: str
    """Of the model that answers."""
    model: ModelRef
    fingerprint: str
    """Names the weights that answer: base, and adapter if any."""
    codec: TextCodec
    context_length: int

    def room(self, prompt_tokens: int, wanted: int | None, *, param: str) -> int:
        """Tokens the answer may have. Raises ContextLengthExceeded."""
        free = self.context_length - prompt_tokens
        least = 1 if wanted is None else wanted
        if free < least:
            asked = f" and {wanted} for the answer" if wanted else ""
            raise ContextLengthExceeded(
                f"This model's context holds {self.context_length} tokens, and the request needs "
                f"more: {prompt_tokens} in the {param}{asked}. Shorten the {param} or the answer.",
                param=param,
            )
        return free if wanted is None else wanted


@dataclass(frozen=True)
class Plan:
    """A request, pinned to its target. The choices of the first prompt come first."""

    target: Target
    prompts: tuple[tuple[int, ...], ...]
    samplings: tuple[Sampling, ...]
    """One for each choice of each prompt."""
    stop: tuple[str, ...]
    tools: ToolUse | None = None

    @property
    def codec(self) -> TextCodec:
        return self.target.codec

    @property
    def fingerprint(self) -> str:
        return self.target.fingerprint

    @property
    def prompt_tokens(self) -> int:
        return sum(map(len, self.prompts))

    def new_call_id(self) -> str:
        """For a call of a tool."""
        return new_call_id(self.tools.form.call_id_length if self.tools else None)

    def prompt_of(self, index: int) -> tuple[int, ...]:
        """The prompt of the choice with this index."""
        return self.prompts[index * len(self.prompts) // len(self.samplings)]


class TargetFinder:
    """Blocks: asks the database, and builds a base's codec at its first request."""

    def __init__(self, database: Database, codecs: CodecCache) -> None:
        self._database = database
        self._codecs = codecs

    def find(self, principal: Principal, model: str) -> Target:
        """Raises ModelNotFound, EngineUnavailable."""
        with self._database.snapshot() as connection:
            resolved = ModelRepository(connection, principal.scope).resolve(model)
            engines = RegistryRepository(connection).live_engines(
                base=resolved.base.name, role=EngineRole.SERVE
            )
        return Target(
            engine_url=_choose(engines, resolved).url,
            tenant=principal.scope.project_id,
            name=resolved.name,
            model=_reference(resolved),
            fingerprint=_fingerprint(resolved),
            codec=self._codecs.get(resolved.base),
            context_length=resolved.base.context_length,
        )


class Planner:
    """Of chat completions. Blocks: looks the model up, tokenises."""

    def __init__(self, database: Database, codecs: CodecCache) -> None:
        self._targets = TargetFinder(database, codecs)

    def plan(self, principal: Principal, request: CreateChatCompletion) -> Plan:
        """Raises ModelNotFound, EngineUnavailable, ChatTemplateError, ContextLengthExceeded,
        UnsupportedParameter."""
        request.check_together()
        target = self._targets.find(principal, request.model)
        codec = target.codec
        tools = plan_tools(request, codec)
        _refuse_unwritten_calls(request, codec)
        _refuse_unwritten_effort(request, codec)
        prompt = codec.encode_chat_prompt(
            [message.to_message() for message in request.messages],
            tools=tools.written if tools else None,
            reasoning_effort=request.reasoning_effort,
        )
        return Plan(
            target=target,
            prompts=(tuple(prompt),),
            samplings=request.to_samplings(
                max_tokens=target.room(len(prompt), request.answer_limit, param="messages"),
                stop_token_ids=codec.stop_token_ids,
                guide=tools.guide if tools and tools.guide else request.guide(),
            ),
            stop=tuple(request.stop or ()),
            tools=tools,
        )


def _refuse_unwritten_calls(request: CreateChatCompletion, codec: TextCodec) -> None:
    """A template without tools would leave calls and their results out, or write nonsense."""
    if codec.takes_tools:
        return
    for index, message in enumerate(request.messages):
        makes_calls = message.role == "assistant" and message.makes_calls
        if message.role in ("tool", "function") or makes_calls:
            raise UnsupportedParameter(
                "This model's chat template has no place for calls of tools and their results.",
                param=f"messages.{index}",
            )


def _refuse_unwritten_effort(request: CreateChatCompletion, codec: TextCodec) -> None:
    if request.reasoning_effort is not None and not codec.takes_reasoning_effort:
        raise UnsupportedParameter(
            "Unsupported parameter: 'reasoning_effort'. This model's chat template has no place "
            "for it: how long it reasons is its own affair.",
            param="reasoning_effort",
        )


def _choose(engines: Sequence[EngineState], resolved: ResolvedModel) -> EngineState:
    """An engine that has the adapter in memory, and of those the least busy."""
    if not engines:
        raise EngineUnavailable(f"no live engine serves {resolved.base.name!r}")
    digest = resolved.delta.digest if resolved.delta else None
    return min(engines, key=lambda e: (digest not in e.loaded_adapters, e.active_streams))


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
