"""From a completion request to what the engine is asked."""

from service.api.chat.codecs import CodecCache
from service.api.chat.planning import Plan, TargetFinder
from service.api.completions.requests import CreateCompletion
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.engine_protocol import Sampling
from service.core.errors import InvalidRequest
from service.core.text import TextCodec


class CompletionPlanner:
    """Blocks: looks the model up, tokenises."""

    def __init__(self, database: Database, codecs: CodecCache) -> None:
        self._targets = TargetFinder(database, codecs)

    def plan(self, principal: Principal, request: CreateCompletion) -> Plan:
        """Raises ModelNotFound, EngineUnavailable, ContextLengthExceeded, InvalidRequest."""
        request.check_together()
        target = self._targets.find(principal, request.model)
        prompts = tuple(_encode(prompt, target.codec) for prompt in request.prompt)
        samplings: list[Sampling] = []
        for prompt in prompts:
            room = target.room(len(prompt), request.answer_limit, param="prompt")
            samplings += request.to_samplings(
                max_tokens=room,
                stop_token_ids=target.codec.stop_token_ids,
                guide=request.guide(),
                prompt_logprobs=request.scores_prompts,
            )
        return Plan(
            target=target,
            prompts=prompts,
            samplings=tuple(samplings),
            stop=tuple(request.stop or ()),
        )


def _encode(prompt: str | list[int], codec: TextCodec) -> tuple[int, ...]:
    tokens = codec.encode_text(prompt) if isinstance(prompt, str) else prompt
    if not tokens:
        raise InvalidRequest("The prompt is empty.", param="prompt")
    return tuple(tokens)
