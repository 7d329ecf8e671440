"""Whatever a file holds, reading it ends in rows and findings, within bounded memory."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.datasets import Examination, LengthLimit, Report, RowKind, examine
from service.core.datasets.formats import as_jsonl, parquet_process
from service.core.text import TextCodec
from tests.service.core.datasets.test_formats import Memory, as_csv, as_parquet
from tests.service.core.datasets.test_kinds import ROWS
from tests.tiny_base import write_tokenizer

MIB = 1024**2
MOST_BYTES = 160 * MIB
"""Beyond what the process has with its imports: a line of 16 MiB, once as bytes and once as text of
four bytes a character, and twice what goes on with it."""

PROBED = {
    "line": "Line 1 is longer than 16 MiB",
    "text": "A line of the file is longer than 16 MiB",
    "csv line": "A line of the file is longer than 16 MiB",
    "csv cell": "Line 1 is not valid CSV (a row has more than 16 MiB)",
    "csv row": "Line 1 is not valid CSV (a row has more than 16 MiB)",
    "bomb": "grows to more than 200 times its size",
    "many faults": "Line 1 is not valid JSON",
    "one fault": "Line 1 is nested too deeply",
    "parquet": "Row group 1 of the Parquet file has more than",
}


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, int]]:
    folder: Path = tmp_path_factory.mktemp("probe")
    write_tokenizer(folder)
    parquet = folder / "rows.parquet"
    pq.write_table(pa.table({"text": pa.repeat("a", 17 * MIB)}), parquet, row_group_size=17 * MIB)
    assert parquet.stat().st_size < MIB
    module = "tests.service.core.datasets.memory_probe"
    output = subprocess.run(
        [sys.executable, "-m", module, str(folder), str(parquet)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {name: tuple(found) for name, found in json.loads(output).items()}


@pytest.mark.parametrize("name", PROBED)
def test_a_flood_is_refused_in_bounded_memory_with_its_line(
    probed: dict[str, tuple[int, str, int]], name: str
) -> None:
    errors, message, peak_bytes = probed[name]

    assert PROBED[name] in message
    assert errors == (100_000 if name == "many faults" else 1)
    assert peak_bytes < MOST_BYTES


def examined(content: bytes | Memory, kind: RowKind, codec: TextCodec) -> tuple[int, Report]:
    report = Report()
    source = Memory(content) if isinstance(content, bytes) else content
    examination = Examination(kind, codec, LengthLimit(50, "truncate"))
    rows = sum(1 for _ in examine(as_jsonl(source, kind=kind), examination, report))
    return rows, report


def assert_understood(content: bytes, kind: RowKind, codec: TextCodec) -> None:
    """Rows, or findings that can be stored and shown."""
    rows, report = examined(content, kind, codec)

    is_blank = not content.strip(b" \t\n\r\x0b\x0c\0")
    assert rows or report.counts or is_blank or report.rows == 0
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    for finding in report.kept:
        finding.message.encode()


@pytest.mark.parametrize(
    ("content", "line", "code"),
    [
        (b'{"text": "a"}\n{"text": "\xff"}\n', 2, "not_utf8"),
        (b'{"text": "a"}\n{"text": "\0"}\n', 2, "invalid_json"),
        (b'{"text": "a"}\n{"text": "\\u0000"}\n', 2, "nul_character"),
        (b'\xef\xbb\xbf{"text": "a"}\n\xef\xbb\xbf{"text": "b"}\n', 2, "invalid_json"),
        (b'{"text": "a"}\n{"text": ' + b"[" * 5000 + b"]" * 5000 + b"}", 2, "nested_too_deeply"),
        (b'{"text": "a"}\n{"text": "\\ud800"}\n', 2, "lone_surrogate"),
        (b'{"text": "a"}\n{"text": "a", "\\udfff": 1}\n', 2, "lone_surrogate"),
        (b'{"text": "a"}\n{"text": "b", "n": 1e999}\n', 2, "invalid_json"),
        (b'[{"text": "a"}]\n', 1, "not_an_object"),
    ],
)
def test_a_broken_line_is_named(content: bytes, line: int, code: str, codec: TextCodec) -> None:
    _, report = examined(content, RowKind.TEXT, codec)

    assert [(finding.line, finding.code) for finding in report.kept] == [(line, code)]


_HEADS = [
    *(b"", b"\xef\xbb\xbf", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"PAR1", b"text,label\n"),
    *(b"messages,tools\n", b'"text"\n', b'{"text":', b'{"messages":[{"role":"user"', b"[", b"\0"),
]


@settings(deadline=None)
@given(head=st.sampled_from(_HEADS), tail=st.binary(max_size=60), kind=st.sampled_from(RowKind))
def test_any_bytes_are_rows_or_findings(
    head: bytes, tail: bytes, kind: RowKind, codec: TextCodec
) -> None:
    assert_understood(head + tail, kind, codec)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
_NAMES = [
    *("messages", "role", "content", "weight", "tool_calls", "function", "arguments", "name"),
    *("type", "text", "input", "preferred_output", "non_preferred_output", "prompt", "tools"),
    *("completion", "label", "functions", "function_call", "parallel_tool_calls", "refusal"),
]
_WORDS = ["user", "assistant", "tool", "text", "function", "{}", '"{}"', "", "<|im_end|>", 0, 1]
_shapes = st.recursive(
    st.sampled_from(_WORDS) | _json,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5)
    ),
    max_leaves=15,
)
_rows = st.dictionaries(st.sampled_from(_NAMES), _shapes, max_size=4)


@settings(deadline=None)
@given(rows=st.lists(_rows, min_size=1, max_size=3), kind=st.sampled_from(RowKind))
def test_any_json_is_rows_or_findings(rows: list[object], kind: RowKind, codec: TextCodec) -> None:
    content = "\n".join(json.dumps(row) for row in rows).encode()

    assert_understood(content, kind, codec)


def _changed(draw: st.DrawFn, value: object) -> object:
    """The value with something else in one place."""
    if draw(st.integers(0, 4)) == 0:
        return draw(_shapes)
    if isinstance(value, dict) and value:
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: _changed(draw, value[name])}
    if isinstance(value, list) and value:
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _changed(draw, value[place]), *value[place + 1 :]]
    return draw(_shapes)


@st.composite
def _nearly_good_rows(draw: st.DrawFn) -> tuple[RowKind, object]:
    kind = draw(st.sampled_from(RowKind))
    return kind, _changed(draw, ROWS[kind])


@settings(deadline=None)
@given(given_row=_nearly_good_rows())
def test_a_row_with_one_fault_is_a_row_or_a_finding(
    given_row: tuple[RowKind, object], codec: TextCodec
) -> None:
    kind, row = given_row

    assert_understood(json.dumps(row).encode(), kind, codec)


_TEXTS = [{"text": "some text", "label": "a"}, {"text": "more, “text”", "label": "b"}] * 20
_FILES = {
    "csv": as_csv(_TEXTS, "text", "label"),
    "gzip": gzip.compress(as_csv(_TEXTS, "text", "label")),
}
_PARQUET = as_parquet(_TEXTS, row_group_size=10)
_CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=3)), max_size=4)


def damaged(whole: bytes, changes: list[tuple[int, bytes]], cut: int) -> bytes:
    content = bytearray(whole)
    for place, change in changes:
        content[place % len(content) : place % len(content) + len(change)] = change
    return bytes(content[: len(content) - cut if cut < len(content) // 10 else len(content)])


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(_FILES)),
    changes=_CHANGES,
    cut=st.integers(0, 10_000),
)
def test_a_damaged_file_is_rows_or_findings(
    name: str, changes: list[tuple[int, bytes]], cut: int, codec: TextCodec
) -> None:
    assert_understood(damaged(_FILES[name], changes, cut), RowKind.LABELLED, codec)


@settings(deadline=None, max_examples=12)  # each starts a process
@given(changes=_CHANGES, cut=st.integers(0, 10_000))
def test_a_damaged_parquet_file_is_rows_or_findings(
    changes: list[tuple[int, bytes]], cut: int, codec: TextCodec
) -> None:
    """pyarrow ends its process at some of them."""
    assert_understood(damaged(_PARQUET, changes, cut), RowKind.LABELLED, codec)


class Deadly(Memory):
    """Whoever reads it dies of it."""

    def range(self, start: int, end: int) -> bytes:
        for child in psutil.Process().children():
            if parquet_process.PROGRAM in child.cmdline():
                child.kill()
                child.wait()
        return super().range(start, end)


def test_the_end_of_the_process_that_reads_is_a_finding(codec: TextCodec) -> None:
    found, report = examined(Deadly(_PARQUET), RowKind.LABELLED, codec)

    assert found == 0
    assert [f.code for f in report.kept] == ["unreadable_file"]
    assert "its reader ended" in report.kept[0].message


def test_the_memory_of_a_parquet_file_is_bounded_whatever_it_says_of_itself(
    codec: TextCodec,
) -> None:
    """A list of 500 times the same 8 MiB, which lie in the file once."""
    once = pa.array(["x" * 8 * MIB])
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 500, pa.int32()), once)
    rows = pa.table({"text": pa.ListArray.from_arrays(pa.array([0, 500], pa.int32()), repeated)})
    file = io.BytesIO()
    pq.write_table(rows, file, store_schema=False)
    assert pq.read_metadata(file).row_group(0).total_byte_size < 16 * MIB

    found, report = examined(file.getvalue(), RowKind.TEXT, codec)

    assert found == 0
    assert [f.code for f in report.kept] == ["unreadable_file"]
    assert "more than 1024 MiB of memory" in report.kept[0].message
