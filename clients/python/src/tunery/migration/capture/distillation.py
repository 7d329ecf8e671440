"""From an old model to two data sets: what the new one learns from, and what it is judged by."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunery._exceptions import NotFoundError
from tunery._sync import Tunery
from tunery._types import ChatCompletion
from tunery.migration.capture.equivalence import Equivalence, compare
from tunery.migration.capture.prompts import Prompt
from tunery.migration.capture.replay import Answer, AnswerFile, Ask, replay

LEAST_ROWS = 10
"""What a job needs to train on."""


class NothingCaptured(Exception):
    """The old model's answers are no data set; the message says why."""


@dataclass(frozen=True)
class CaptureOptions:
    """How an old model is asked."""

    prompts: Path | None = None
    """JSONL; without it the prompts are those of the job's data set."""
    held_out: float = 0.1
    """Share of the prompts that is not trained on."""
    temperature: float | None = 0.0
    """None leaves it to the model, for those that take no temperature."""
    max_tokens: int | None = None
    concurrency: int = 4

    def sampling(self) -> dict[str, Any]:
        given = {"temperature": self.temperature, "max_completion_tokens": self.max_tokens}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class CapturedSets:
    """Two fine-tuning files."""

    distillation: Path
    evaluation: Path
    note: str


class Distillation:
    """One old model, with its answers in a folder of its own."""

    def __init__(
        self,
        model: str,
        prompts: Sequence[Prompt],
        folder: Path,
        options: CaptureOptions,
        on_answer: Callable[[int, int], object] = lambda _done, _all: None,
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._folder = folder
        self._options = options
        self._on_answer = on_answer
        self._old: dict[str, Answer] = {}

    def capture(self, ask: Ask, *, prefix: str) -> CapturedSets:
        """Ask the old model and write the two sets. `prefix` begins their names.

        Raises NothingCaptured, APIError.
        """
        try:
            self._old = self._replay(ask, self._prompts, "answers.jsonl", self._model)
        except NotFoundError as gone:
            raise NothingCaptured(f"the old model does not answer: {gone.message}") from None
        trained, held_out = self._split()
        distillation = self._folder / f"{prefix}.distillation.jsonl"
        evaluation = self._folder / f"{prefix}.eval.jsonl"
        self._write(distillation, trained)
        self._write(evaluation, held_out)
        unusable = len(self._prompts) - len(trained) - len(held_out)
        note = f"{len(trained)} answers to learn from, {len(held_out)} to be judged by"
        if unusable:
            note += f"; {unusable} refused, empty or cut off, see {self._folder / 'answers.jsonl'}"
        return CapturedSets(distillation, evaluation, note)

    def judge(self, client: Tunery, model: str) -> Equivalence:
        """Ask the new model what was held out, after `capture`. Raises APIError."""

        def ask(request: Any) -> ChatCompletion:
            return client.chat.completions.create(**request)

        _, held_out = self._split()
        name = f"answers.{model.rpartition(':')[2]}.jsonl"
        new = self._replay(ask, held_out, name, model)
        table = self._folder / "equivalence.csv"
        return compare(self._model, held_out, self._old, new, table)

    def _replay(
        self, ask: Ask, prompts: Sequence[Prompt], name: str, model: str
    ) -> dict[str, Answer]:
        return replay(
            ask,
            prompts,
            AnswerFile(self._folder / name),
            model=model,
            sampling=self._options.sampling(),
            concurrency=self._options.concurrency,
            on_answer=self._on_answer,
        )

    def _split(self) -> tuple[list[Prompt], list[Prompt]]:
        """Those to learn from and those held out: the same at every run, whatever their order."""
        usable = [each for each in self._prompts if self._old[each.key].is_usable]
        count = max(1, math.ceil(self._options.held_out * len(usable)))
        if len(usable) - count < LEAST_ROWS:
            raise NothingCaptured(
                f"{len(usable)} usable answers, and {count} are held out: a job needs at least "
                f"{LEAST_ROWS} to learn from; give more prompts with --prompts"
            )
        held_out = {each.key for each in sorted(usable, key=lambda p: p.key)[:count]}
        return (
            [each for each in usable if each.key not in held_out],
            [each for each in usable if each.key in held_out],
        )

    def _write(self, path: Path, prompts: Sequence[Prompt]) -> None:
        beside = path.with_name(f"{path.name}.part")
        with beside.open("w", encoding="utf-8") as file:
            for prompt in prompts:
                message = self._old[prompt.key].message()
                row = {**prompt.request(), "messages": [*prompt.messages, message]}
                file.write(json.dumps(row) + "\n")
        beside.replace(path)
