"""Which characters of a conversation are trained: the assistant's, and nothing else.

Spans come from rendering message prefixes: what message i adds beyond the prompt before it is what
the model has to say. That needs a template whose shorter renderings begin its longer ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.errors import TemplateNotPrefixStable
from service.core.text.guard import Encoding, unmarked_position
from service.core.text.messages import Message, Tool
from service.core.text.template import ChatTemplate


@dataclass(frozen=True)
class TrainingTokens:
    """A row for training; weights[i] counts the prediction of tokens[i] from tokens[:i]."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def trained(self) -> int:
        """How many tokens are learned from."""
        return sum(weight > 0 for weight in self.weights)


@dataclass(frozen=True)
class Span:
    """Characters [start, end) that are trained with `weight`."""

    start: int
    end: int
    weight: float


def assistant_spans(
    template: ChatTemplate,
    prepared: Sequence[Message],
    weights: Sequence[float],
    tools: Sequence[Tool] | None,
) -> tuple[str, list[Span]]:
    """The rendered conversation and its trained spans, in characters of it.

    A span begins after the generation prompt and ends with the end-of-turn token; the newline
    that some templates put after it is not the model's to say. Raises TemplateNotPrefixStable,
    ChatTemplateError.
    """
    whole = template.render(prepared, tools=tools, add_generation_prompt=False)
    spans = []
    for index, weight in enumerate(weights):
        if not weight:
            continue
        prompt = template.render(prepared[:index], tools=tools, add_generation_prompt=True)
        through = template.render(prepared[: index + 1], tools=tools, add_generation_prompt=False)
        if not (through.startswith(prompt) and whole.startswith(through)):
            raise TemplateNotPrefixStable(
                f"The model's chat template renders message {index + 1} differently depending on "
                "what follows, so it cannot be told which text is the assistant's. Split the "
                "conversation so that only its last message is the assistant's, or give the "
                "earlier assistant messages weight 0.",
                param="messages",
            )
        end = max(len(prompt), len(through.rstrip()))
        spans.append(Span(len(prompt), end, weight))
    return whole, spans


def message_weight(message: Message) -> float:
    """How much a message is trained: 0 or 1, only the assistant's, 1 if it does not say."""
    return float(message.get("weight", 1) or 0) if message["role"] == "assistant" else 0.0


def weigh(rendered: str, encoding: Encoding, spans: Sequence[Span]) -> TrainingTokens:
    """Tokens with the weight of the span they lie wholly in.

    A token that reaches over a span's edge stands partly for the prompt and is not trained.
    """
    weights = [0.0] * len(encoding.ids)
    for span in spans:
        start = unmarked_position(rendered, span.start)
        end = unmarked_position(rendered, span.end)
        for position, (first, last) in enumerate(encoding.offsets):
            if start <= first < last <= end:
                weights[position] = span.weight
    if weights:
        weights[0] = 0.0  # nothing comes before the first token, so nothing predicts it
    return TrainingTokens(tuple(encoding.ids), tuple(weights))
