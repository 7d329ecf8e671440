"""One stream as the step loop sees it."""

from concurrent.futures import Future
from dataclasses import dataclass, field

from llguidance import LLMatcher

from service.core.engine_protocol import AddRequest
from service.engine.generation.logit_rules import LogitRules
from service.engine.generation.sampling import Draw
from service.engine.interface import FrameSink
from service.engine.layers import ServedAdapter
from service.engine.parts import DeltaWeights
from service.engine.runner import BaseRunner


@dataclass(eq=False)
class Stream:
    """From `add` to its last frame."""

    request: AddRequest
    sink: FrameSink
    arrival: int
    """Order of arrival: the youngest gives way when memory runs out."""
    tokens: list[int] = field(default_factory=list)
    """Prompt and answer so far."""
    computed: int = 0
    """Tokens whose keys and values are in the cache."""
    blocks: list[int] = field(default_factory=list)
    runner: BaseRunner | None = None
    """What it is computed on, once that is known: the base, or a variant of it."""
    adapter: ServedAdapter | None = None
    loading: Future[DeltaWeights] | None = None
    rules: LogitRules | None = None
    """None for most streams: their logits stay as they are."""
    guiding: Future[LLMatcher] | None = None
    is_drawn: bool = False
    """For a training session: its answer holds the stop token too."""
    scored: int = 1
    """Tokens of the prompt whose log-probabilities were reported; the first has none."""

    def __post_init__(self) -> None:
        self.tokens = list(self.request.tokens)

    @property
    def pending(self) -> int:
        """Tokens to compute before the next one can be drawn."""
        return len(self.tokens) - self.computed

    @property
    def answered(self) -> int:
        return len(self.tokens) - len(self.request.tokens)

    @property
    def draw(self) -> Draw:
        """How the next token is drawn."""
        sampling = self.request.sampling
        return Draw(
            sampling.temperature,
            sampling.top_p,
            sampling.seed,
            len(self.tokens),
            sampling.top_k,
            sampling.min_p,
        )

    @property
    def reports(self) -> bool:
        """Whether it tells the log-probabilities of its tokens."""
        return self.request.sampling.top_logprobs is not None

    @property
    def is_ready(self) -> bool:
        """Whether adapter and guide have arrived, or failed to."""
        return all(part is None or part.done() for part in (self.loading, self.guiding))

    def append(self, token: int) -> None:
        """A token that belongs to the answer."""
        self.tokens.append(token)
        if self.rules is not None:
            self.rules.note(token)
