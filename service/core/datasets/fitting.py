"""Rows longer than the model takes: refused, cut or left out, as the job asks, and always told."""

from dataclasses import dataclass

from service.core.datasets.encoding import EncodedRow
from service.core.datasets.findings import BadLine, Finding, Severity
from service.core.datasets.rows import ReinforcementRow, Row, TextRow
from service.core.domain.methods import MethodType
from service.core.hyperparameters import Hyperparameters, OverLength, row_limit
from service.core.text import TrainingTokens


@dataclass(frozen=True)
class LengthLimit:
    """Tokens that a sequence may have, and what becomes of a longer one."""

    tokens: int
    over_length: OverLength = "error"

    @classmethod
    def of(
        cls, requested: Hyperparameters, method: MethodType, context_length: int
    ) -> "LengthLimit":
        """What a job with these hyperparameters goes by."""
        return cls(row_limit(requested, method, context_length), requested.over_length)


@dataclass(frozen=True)
class Fitted:
    """What is left of a row; nothing if it is left out. A text may become several."""

    rows: tuple[EncodedRow, ...]
    finding: Finding | None = None


def fit(row: Row, encoded: EncodedRow, limit: LengthLimit) -> Fitted:
    """A row that fits stays as it is. Raises BadLine where the job wants an error.

    Texts are split into pieces, since nothing is lost by that; everything else is cut at its end.
    """
    longest = max(len(sequence.tokens) for sequence in encoded.values())
    if longest <= limit.tokens:
        return Fitted((encoded,))
    if isinstance(row, TextRow):
        return _split(row, encoded["row"], limit.tokens)
    problem = f"has {longest} tokens, more than the {limit.tokens} that a row may have here"
    match limit.over_length:
        case "error":
            mend = 'shorten or split it, or set over_length to "truncate" or "skip"'
            raise BadLine("over_length", problem, mend)
        case "truncate" if isinstance(row, ReinforcementRow):
            problem = f"{problem}; a prompt is not cut, since it ends with the question"
            return Fitted((), _warning(row, "skipped", f"{problem}, but left out"))
        case "skip":
            return Fitted((), _warning(row, "skipped", f"{problem}, and is left out"))
        case "truncate":
            return _cut(row, encoded, limit.tokens, problem)


def _cut(row: Row, encoded: EncodedRow, limit: int, problem: str) -> Fitted:
    shorter = {name: _first(sequence, limit) for name, sequence in encoded.items()}
    if any(encoded[name].trained and not part.trained for name, part in shorter.items()):
        problem = f"{problem}; cut there nothing is left to train, so that it is left out"
        return Fitted((), _warning(row, "skipped", problem))
    return Fitted((shorter,), _warning(row, "truncated", f"{problem}, and is cut there"))


def _split(row: Row, sequence: TrainingTokens, limit: int) -> Fitted:
    """Each piece begins with the last token of the one before, so that every token is predicted
    once."""
    tokens = sequence.tokens
    pieces = tuple(
        {"row": TrainingTokens(part, (0.0, *(1.0,) * (len(part) - 1)))}
        for start in range(0, len(tokens) - 1, max(1, limit - 1))
        if (part := tokens[start : start + limit])
    )
    problem = f"has {len(tokens)} tokens and is trained as {len(pieces)} pieces"
    return Fitted(pieces, Finding(row.line, "split", Severity.INFO, problem, ""))


def _first(sequence: TrainingTokens, limit: int) -> TrainingTokens:
    return TrainingTokens(sequence.tokens[:limit], sequence.weights[:limit])


def _warning(row: Row, code: str, problem: str) -> Finding:
    return Finding(row.line, code, Severity.WARNING, problem, "shorten or split it")
