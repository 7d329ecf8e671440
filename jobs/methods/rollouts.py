"""Answers of the policy to prompts, with their rewards, and which prompts when."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from jobs.methods.examples import Example, TokenRow
from jobs.methods.method import Answered, Environment
from jobs.runner.session import EngineSession
from service.core.batching import epoch_order
from service.core.engine_protocol import FinishReason, Guide, Sample, SamplePrompt, Sampling


@dataclass(frozen=True)
class Answer:
    """One draw."""

    prompt: Example
    tokens: Sequence[int]
    """With the stop token that ended it."""
    sampler_logprobs: Sequence[float]
    reason: FinishReason
    text: str
    reward: float

    def to_row(self) -> TokenRow:
        """Prompt and answer; the answer's tokens have weight 1."""
        prompt = self.prompt.rows[0].tokens
        weights = array("f", [0.0] * len(prompt) + [1.0] * len(self.tokens))
        return TokenRow(self.prompt.line, prompt + array("i", self.tokens), weights)


@dataclass(frozen=True)
class Drawing:
    """How answers are drawn."""

    per_prompt: int
    temperature: float
    max_tokens: int
    guide: Guide | None = None
    """What an answer must look like."""


def draw(
    session: EngineSession,
    environment: Environment,
    prompts: Sequence[Example],
    drawing: Drawing,
    *,
    step: int,
) -> list[Answer]:
    """Answers by prompt, graded. The draws depend on the job's seed, `step` and the lines."""
    longest = max(prompt.tokens for prompt in prompts)
    room = environment.context_length - longest
    sampling = Sampling(
        max_tokens=max(1, min(drawing.max_tokens, room)),
        temperature=drawing.temperature,
        stop_token_ids=environment.stop_token_ids,
        guide=drawing.guide,
    )
    asked = tuple(
        SamplePrompt(line=prompt.line, tokens=tuple(prompt.rows[0].tokens)) for prompt in prompts
    )
    seq = session.submit(
        partial(Sample, step=step, prompts=asked, n=drawing.per_prompt, sampling=sampling)
    )
    drawn = session.sample_result(seq).answers
    texts = [environment.decode(answer.tokens) for answer in drawn]
    owners = [prompt for prompt in prompts for _ in range(drawing.per_prompt)]
    answered = [Answered(prompt, text) for prompt, text in zip(owners, texts, strict=True)]
    rewards = environment.rewards(answered)
    return [
        Answer(prompt, found.tokens, found.logprobs, found.reason, text, reward)
        for prompt, found, text, reward in zip(owners, drawn, texts, rewards, strict=True)
    ]


@dataclass(frozen=True)
class Rollout:
    """Prompts that are answered by the same weights, and the steps that learn from it."""

    first_step: int
    """1-based over the whole job."""
    steps: int
    epoch: int
    prompts: Sequence[Example]

    @property
    def last_step(self) -> int:
        return self.first_step + self.steps - 1


def rollouts(
    prompts: Sequence[Example], *, prompts_a_rollout: int, steps: int, n_epochs: int, seed: int
) -> Iterator[Rollout]:
    """Every prompt once an epoch, shuffled anew each epoch: a pure function of the seed."""
    first = 1
    for epoch in range(1, n_epochs + 1):
        order = epoch_order(len(prompts), seed=seed, epoch=epoch)
        for start in range(0, len(order), prompts_a_rollout):
            chosen = [prompts[i] for i in order[start : start + prompts_a_rollout]]
            yield Rollout(first, steps, epoch, chosen)
            first += steps
