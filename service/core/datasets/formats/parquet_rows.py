"""Rows of a Parquet file, a few at a time out of one row group.

pyarrow is an extra of the worker; nothing else imports it. Runs in the process that
`parquet_process` starts, since the sizes that a file gives may be lies.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from service.core.datasets.formats.bad_table import BadTable
from service.core.datasets.formats.columns import cell_value
from service.core.datasets.formats.source import ByteSource, open_seekable

_ROWS_AT_ONCE = 16
_MAX_GROUP_BYTES = 256 * 1024**2
_MAX_GROUP_VALUES = 16 * 1024**2
"""A value that is repeated takes no bytes in the file, but it does in memory."""


def parquet_rows(source: ByteSource) -> Iterator[Mapping[str, Any]]:
    """Row by row. Lists of messages may be nested columns or JSON text. Raises BadTable,
    MemoryError."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise BadTable(
            "This server reads no Parquet, because pyarrow is not installed", "upload JSONL"
        ) from None
    try:
        with ParquetFile(open_seekable(source), pre_buffer=False) as file:
            _check_groups(file)
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
                for index in range(batch.num_rows):
                    yield _without_nulls(batch.slice(index, 1).to_pylist()[0])
    except (BadTable, MemoryError):  # pyarrow's is an ArrowException, too
        raise
    except UnicodeDecodeError:
        raise BadTable(
            "The Parquet file holds bytes that are no text", "write the column as strings"
        ) from None
    except (ArrowException, OSError, ValueError, ArithmeticError) as error:
        raise BadTable(f"The Parquet file does not read ({error})", "write it again") from None


def _check_groups(file: Any) -> None:
    for index in range(file.num_row_groups):
        group = file.metadata.row_group(index)
        values = max((group.column(i).num_values for i in range(group.num_columns)), default=0)
        if group.total_byte_size > _MAX_GROUP_BYTES or values > _MAX_GROUP_VALUES:
            raise BadTable(
                f"Row group {index + 1} of the Parquet file has more than "
                f"{_MAX_GROUP_BYTES // 1024**2} MiB or {_MAX_GROUP_VALUES} values",
                "write it with smaller row groups",
            )


def _without_nulls(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A nested column has every member in every row, null where it was absent."""
    return {
        name: _from_text(name, value) if isinstance(value, str) else _pruned(value)
        for name, value in row.items()
        if value is not None
    }


def _from_text(name: str, value: str) -> Any:
    try:
        return cell_value(name, value)
    except (ValueError, RecursionError):
        return value  # the row's checks say what is wrong with it


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _pruned(member) for name, member in value.items() if member is not None}
    return [_pruned(member) for member in value] if isinstance(value, list) else value
