"""Rows of a Parquet file, a few at a time out of one row group.

pyarrow is an extra of the worker; nothing else imports it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from service.core.datasets.formats.csv_rows import BadTable
from service.core.datasets.formats.source import ByteSource, open_seekable

_ROWS_AT_ONCE = 64
_MAX_GROUP_BYTES = 256 * 1024**2
_JSON_COLUMNS = ("messages", "tools")


def parquet_rows(source: ByteSource) -> Iterator[Mapping[str, Any]]:
    """Row by row. Lists of messages may be nested columns or JSON text. Raises BadTable."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise BadTable(
            "This server reads no Parquet, because pyarrow is not installed; upload JSONL."
        ) from None
    try:
        with ParquetFile(open_seekable(source), pre_buffer=False) as file:
            _check_groups(file)
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
                for row in batch.to_pylist():
                    yield _without_nulls(row)
    except (ArrowException, OSError) as error:
        raise BadTable(f"The Parquet file does not read ({error}); write it again.") from None


def _check_groups(file: Any) -> None:
    for index in range(file.num_row_groups):
        if file.metadata.row_group(index).total_byte_size > _MAX_GROUP_BYTES:
            raise BadTable(
                f"Row group {index + 1} of the Parquet file has more than "
                f"{_MAX_GROUP_BYTES // 1024**2} MiB; write it with smaller row groups."
            )


def _without_nulls(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A nested column has every member in every row, null where it was absent."""
    return {
        name: _from_json(value) if name in _JSON_COLUMNS else _pruned(value)
        for name, value in row.items()
        if value is not None
    }


def _from_json(value: Any) -> Any:
    if not isinstance(value, str):
        return _pruned(value)
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value  # the row's checks say what is wrong with it


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _pruned(member) for name, member in value.items() if member is not None}
    return [_pruned(member) for member in value] if isinstance(value, list) else value
