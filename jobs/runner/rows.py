"""A stored data set as token rows of one base."""

from array import array
from collections.abc import Iterable, Iterator

from jobs.methods.batches import TokenRow
from service.core.datasets import Examination, Report, examine


def token_rows(
    chunks: Iterable[bytes], examination: Examination, report: Report
) -> Iterator[TokenRow]:
    """Every row that can be trained on; what is wrong with the others is in `report`."""
    for row, encoded in examine(chunks, examination, report):
        for sequence in encoded.values():
            tokens, weights = array("i", sequence.tokens), array("f", sequence.weights)
            yield TokenRow(row.line, tokens, weights)
