"""The work of methods that learn from their own answers, whose lengths nobody knows before."""

import math
from array import array
from collections.abc import Sequence

from service.core.domain.methods import ReinforcementMethod, RlhfMethod
from service.core.estimates.examples import SizedExample
from service.core.estimates.laws import sample_features
from service.core.estimates.work import JobWork, Setting, add_forwards, add_pass, add_steps


def policy_work(
    prompts: Sequence[SizedExample],
    validation: Sequence[SizedExample],
    setting: Setting,
    *,
    answer_share: float = 0.5,
) -> JobWork:
    """Prompts in rollouts; each is drawn, measured twice and learned from. Answers are taken to be
    `answer_share` of the longest that is allowed."""
    loop, numbers = _Loop.of(setting, answer_share), setting.numbers
    work = JobWork(is_drawn=True)
    rollouts = math.ceil(len(prompts) / loop.prompts)
    work.steps = numbers.n_epochs * rollouts * loop.steps
    answered = [loop.answered(prompt, n) for prompt in prompts for n in range(loop.per_prompt)]
    work.tokens_per_epoch = sum(example.tokens for example in answered) * loop.passes
    work.trained_tokens = work.tokens_per_epoch * numbers.n_epochs
    a_rollout = loop.prompts * loop.per_prompt
    for start in range(0, len(answered), a_rollout):
        answers = answered[start : start + a_rollout]
        add_forwards(work, answers, setting, 2 * numbers.n_epochs)
        parts = max(1, loop.steps // loop.passes)
        for part in range(parts):
            chosen = answers[len(answers) * part // parts : len(answers) * (part + 1) // parts]
            for size in setting.passes(chosen or answers[:1], differentiates=True):
                add_pass(work, size, setting, loop.passes * numbers.n_epochs)
        loop.add_drawing(work, answers, numbers.n_epochs)
    if validation:
        measured = [loop.answered(row, n) for row in validation for n in range(loop.eval_samples)]
        every = loop.eval_interval or numbers.eval_steps
        loop.add_drawing(work, measured, 1 + math.ceil(work.steps / every))
    add_steps(work, setting)
    return work


class _Loop:
    """Sizes of a rollout, as the two methods have them."""

    def __init__(self, *, prompts: int, per_prompt: int, passes: int, steps: int) -> None:
        self.prompts, self.per_prompt = prompts, per_prompt
        self.passes, self.steps = passes, steps
        self.answer = 1
        self.eval_samples = 1
        self.eval_interval: int | None = None

    @classmethod
    def of(cls, setting: Setting, answer_share: float) -> "_Loop":
        method, batch = setting.method, setting.numbers.batch_size
        if isinstance(method, ReinforcementMethod):
            group = max(2, round(method.samples_per_prompt * method.compute_multiplier))
            loop = cls(prompts=batch, per_prompt=group, passes=1, steps=1)
            loop.eval_samples, loop.eval_interval = method.eval_samples, method.eval_interval
        elif isinstance(method, RlhfMethod):
            size = method.rollout_batch_size
            steps = method.ppo_epochs * math.ceil(size / min(batch, size))
            loop = cls(prompts=size, per_prompt=1, passes=method.ppo_epochs, steps=steps)
        else:
            raise TypeError(f"{method.type} draws no answers")
        loop.answer = max(1, round(method.max_completion_tokens * answer_share))
        return loop

    def answered(self, prompt: SizedExample, number: int) -> SizedExample:
        """Answer `number` of a prompt; they differ from the first token on."""
        (tokens,) = prompt.rows
        row = array("i", tokens) + array("i", [-1 - number]) * self.answer
        return SizedExample((row,), self.answer)

    def add_drawing(self, work: JobWork, answers: Sequence[SizedExample], times: float) -> None:
        drawn = self.answer * len(answers)
        prompts = sum(example.tokens for example in answers) - drawn
        features = sample_features(steps=self.answer, answer_tokens=drawn, prompt_tokens=prompts)
        work.add("sample", features, times)
