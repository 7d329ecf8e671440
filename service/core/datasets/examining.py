"""A whole file, examined with a base's eyes: good rows as tokens, everything else as findings."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from service.core.datasets.encoding import EncodedRow, encode_row, shown_to_model
from service.core.datasets.findings import BadLine, Finding, Severity
from service.core.datasets.fitting import LengthLimit, fit
from service.core.datasets.formats import UnreadableFile
from service.core.datasets.reader import read_rows
from service.core.datasets.report import Report
from service.core.datasets.rows import (
    ChatRow,
    LabelledRow,
    ReinforcementRow,
    Row,
    RowKind,
)
from service.core.datasets.seen import Earlier, SeenRows
from service.core.errors import ChatTemplateError
from service.core.text import TextCodec


@dataclass(frozen=True)
class Examination:
    """What a file is examined for."""

    kind: RowKind
    codec: TextCodec
    limit: LengthLimit
    param: str = "training_file"
    """The file's part in the job, by the name of the parameter."""
    seen: SeenRows | None = None
    """Shared by the files of a job; None where repetitions are of no interest."""
    pulse: Callable[[], None] = lambda: None
    """Called before each row; may raise."""


def examine(
    chunks: Iterable[bytes], examination: Examination, report: Report
) -> Iterator[tuple[Row, EncodedRow]]:
    """Every row that can be trained on, in order; a text that is split comes several times.

    Whatever keeps a row or the file from being trained on, or is hardly meant, is in `report`.
    `chunks` are those of JSONL, as `as_jsonl` makes them of any file. Raises what `chunks` and
    `pulse` raise, save UnreadableFile.
    """
    try:
        for row in read_rows(chunks, kind=examination.kind, report=report):
            examination.pulse()
            for encoded in _examine_row(row, examination, report):
                yield row, encoded
    except UnreadableFile as unreadable:
        report.add(unreadable.finding)


def _examine_row(row: Row, examination: Examination, report: Report) -> tuple[EncodedRow, ...]:
    try:
        encoded = encode_row(row, examination.codec)
        _check_trains(row, encoded)
        report.longest_row = max(report.longest_row, *(len(s.tokens) for s in encoded.values()))
        fitted = fit(row, encoded, examination.limit)
    except ChatTemplateError as error:
        problem = f"cannot be rendered: {error.message.rstrip('.')}"
        report.add(BadLine("template_refuses", problem).at(row.line))
        return ()
    except BadLine as bad:
        report.add(bad.at(row.line))
        return ()
    for finding in (
        fitted.finding,
        _special_token(row, examination),
        _repetition(row, examination),
    ):
        if finding is not None:
            report.add(finding)
    if fitted.rows:
        sequences = [sequence for part in fitted.rows for sequence in part.values()]
        report.count_usable(
            tokens=sum(len(sequence.tokens) for sequence in sequences),
            trained=sum(sequence.trained for sequence in sequences),
        )
    return fitted.rows


def _check_trains(row: Row, encoded: EncodedRow) -> None:
    """Raises BadLine."""
    if isinstance(row, LabelledRow | ReinforcementRow):
        if not encoded["row"].tokens:
            raise BadLine("nothing_trained", "has no tokens for this model", "remove it")
    elif all(sequence.trained for sequence in encoded.values()):
        return
    elif isinstance(row, ChatRow):
        raise BadLine(
            "nothing_trained",
            "trains nothing, because no assistant message in it has weight 1",
            "give one that weight or remove the line",
        )
    else:
        raise BadLine("nothing_trained", "has no token that could be trained", "remove it")


def _special_token(row: Row, examination: Examination) -> Finding | None:
    token = examination.codec.special_token_in(shown_to_model(row))
    if token is None:
        return None
    return Finding(
        row.line,
        "special_token",
        Severity.WARNING,
        f"contains {token!r}, which is trained as the letters it is written with and never as the "
        "model's control token",
        "remove it; what was rendered with a chat template is better given as messages",
    )


def _repetition(row: Row, examination: Examination) -> Finding | None:
    earlier = examination.seen and examination.seen.note(row, examination.param)
    return _repeated(row.line, earlier, examination.param) if earlier else None


def _repeated(line: int, earlier: Earlier, param: str) -> Finding:
    if earlier.file != param:
        return Finding(
            line,
            "overlap",
            Severity.WARNING,
            f"is also line {earlier.line} of the {earlier.file.replace('_', ' ')}, so that it "
            "measures memory instead of learning",
            "keep it in one of the files",
        )
    if not earlier.same_answer:
        return Finding(
            line,
            "contradicting_label",
            Severity.WARNING,
            f"says the same as line {earlier.line} and has another label",
            "decide for one, or give both in a list of labels",
        )
    return Finding(
        line,
        "duplicate",
        Severity.WARNING,
        f"is the same as line {earlier.line}",
        "keep one of them",
    )
