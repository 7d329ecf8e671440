"""Rows as sizes: a small file whole, as its validation reads it, of a large one the beginning."""

import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice

from service.core.datasets import (
    Examination,
    LabelledRow,
    Report,
    examine,
    invalid_file,
    minimum_examples,
)
from service.core.datasets.formats import ByteSource, as_jsonl
from service.core.domain.methods import MethodType
from service.core.estimates import SizedExample, sized

EXACT_BYTES = 16 * 1024**2
"""About 20 s of tokenising; larger files are read so far."""
_MOST_EXAMPLES = 2_000_000
_LEAST_BOUND = 0.05
"""Of what is concluded from a beginning, which may differ from the rest."""


@dataclass
class Sizes:
    """Of the rows that would be trained on."""

    examples: list[SizedExample] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    examined: int = 0
    """Rows that were read; fewer than there are if this is a sample."""
    bound: float = 0.0
    """Of the tokens, as a share; 0 where all were counted."""
    is_sample: bool = False

    @property
    def tokens(self) -> int:
        return sum(example.tokens for example in self.examples)

    def extrapolate(self, factor: float) -> None:
        """So many times as many rows like these."""
        if factor <= 1 or not self.examples:
            return
        tokens = [example.tokens for example in self.examples]
        error = 0.0
        if len(tokens) > 1:
            deviation = statistics.stdev(tokens) / math.sqrt(len(tokens))
            error = 2 * deviation / statistics.fmean(tokens)
        self.bound, self.is_sample = max(_LEAST_BOUND, error), True
        count = min(_MOST_EXAMPLES, round(len(tokens) * factor))
        self.examples = list(islice(cycle(self.examples), count))


def read_sizes(source: ByteSource, examination: Examination) -> Sizes:
    """Raises InvalidTrainingFile, InvalidValidationFile, and what the source raises."""
    counted = _Counted(source)
    sizes = _examine(as_jsonl(counted, kind=examination.kind), examination, counted)
    if counted.is_cut:
        sizes.extrapolate(source.size / counted.taken)
    return sizes


def given_sizes(lines: Iterable[bytes], count: int | None, examination: Examination) -> Sizes:
    """Of rows in the request. Raises InvalidTrainingFile."""
    sizes = _examine(lines, examination, None)
    if count is not None and sizes.examined:
        sizes.extrapolate(count / sizes.examined)
    return sizes


def check_enough(sizes: Sizes, method: MethodType) -> None:
    """Raises InvalidTrainingFile."""
    least = minimum_examples(method)
    if len(sizes.examples) < least:
        raise invalid_file(
            f"There are {len(sizes.examples)} examples that can be trained on, and a job needs at "
            f"least {least}; add rows.",
            param="training_file",
        )


def _examine(
    chunks: Iterable[bytes], examination: Examination, counted: "_Counted | None"
) -> Sizes:
    sizes, report = Sizes(), Report()
    for row, encoded in examine(chunks, examination, report):
        sizes.examples.append(sized(encoded))
        if isinstance(row, LabelledRow):
            sizes.labels.update(row.labels)
        if counted is not None and counted.is_enough:
            break
    report.raise_if_errors(examination.param)
    sizes.examined = report.rows
    return sizes


class _Counted:
    """A source that knows how much of it was read."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.taken = 0

    @property
    def size(self) -> int:
        return self._source.size

    @property
    def is_enough(self) -> bool:
        return self.taken >= EXACT_BYTES and self.size > EXACT_BYTES

    @property
    def is_cut(self) -> bool:
        return self.is_enough and self.taken < self.size

    def stream(self) -> Iterator[bytes]:
        for chunk in self._source.stream():
            self.taken += len(chunk)
            yield chunk

    def range(self, start: int, end: int) -> bytes:
        content = self._source.range(start, end)
        self.taken += len(content)
        return content
