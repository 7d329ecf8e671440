"""A stored data set as examples of one base and method."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from jobs.methods.examples import Example, fit
from jobs.methods.method import TrainingMethod
from service.core.datasets import BadLine, Report, read_rows
from service.core.errors import ChatTemplateError
from service.core.hyperparameters import OverLength
from service.core.text import TextCodec


@dataclass
class Fitting:
    """How long a row may be, and what became of those that were longer."""

    limit: int
    """Tokens."""
    over_length: OverLength
    truncated: int = 0
    skipped: int = 0

    def fit(self, example: Example) -> Example | None:
        """Raises BadLine."""
        fitted = fit(example, self.limit, self.over_length)
        if fitted is None:
            self.skipped += 1
        elif fitted is not example:
            self.truncated += 1
        return fitted


def examples(
    chunks: Iterable[bytes],
    codec: TextCodec,
    method: TrainingMethod,
    *,
    fitting: Fitting,
    param: str,
    pulse: Callable[[], None],
) -> Iterator[Example]:
    """Every example that can be trained on; `pulse` is called before each row and may raise.

    A file with a row that cannot be trained on ends in an InvalidTrainingFile that names the line.
    """
    report = Report()
    for row in read_rows(chunks, kind=method.kind, report=report):
        pulse()
        try:
            for example in method.encode(row, codec):
                fitted = fitting.fit(example)
                if fitted is not None:
                    yield fitted
        except ChatTemplateError as error:
            report.add(_refused(error).at(row.line))
        except BadLine as bad:
            report.add(bad.at(row.line))
    report.raise_if_errors(param)


def _refused(error: ChatTemplateError) -> BadLine:
    return BadLine("template_refuses", f"cannot be rendered: {error.message.rstrip('.')}")
