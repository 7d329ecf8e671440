"""Rows come out the same, whichever format they were written in; what is broken says how."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.core.datasets import LabelledRow, Report, Row, RowKind, TextRow, read_rows
from service.core.datasets.formats import Format, UnreadableFile, as_jsonl, detect_format
from tests.service.core.datasets.test_kinds import ROWS as KIND_ROWS

QUESTIONS = [f"What is {n}, and why\n“{n}”?" for n in range(200)]
ROWS = [
    {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": "It is so, “by definition”.", "weight": n % 2},
        ]
    }
    for n, question in enumerate(QUESTIONS)
]
JSONL = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


@dataclass(frozen=True)
class Memory:
    """A file in memory, read in small pieces."""

    content: bytes
    piece: int = 1000

    @property
    def size(self) -> int:
        return len(self.content)

    def stream(self) -> Iterator[bytes]:
        for at in range(0, self.size, self.piece):
            yield self.content[at : at + self.piece]

    def range(self, start: int, end: int) -> bytes:
        return self.content[start:end]


def as_csv(rows: list[dict[str, object]], *columns: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        cells = [row[column] for column in columns]
        writer.writerow([c if isinstance(c, str) else json.dumps(c) for c in cells])
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, object]], **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, **options)
    return sink.getvalue()


def rows_of(content: bytes, kind: RowKind = RowKind.CONVERSATION) -> list[Row]:
    report = Report()
    rows = list(read_rows(as_jsonl(Memory(content), kind=kind), kind=kind, report=report))
    report.raise_if_errors("training_file")
    return rows


CSV = as_csv(ROWS, "messages")
FORMATS = {
    "csv": CSV,
    "csv with BOM": b"\xef\xbb\xbf" + CSV,
    "csv.gz": gzip.compress(CSV),
    "jsonl.gz": gzip.compress(JSONL),
    "jsonl.gz in members": gzip.compress(JSONL[:999]) + gzip.compress(JSONL[999:]),
    "parquet": as_parquet(ROWS, row_group_size=7),
    "parquet of text": as_parquet([{"messages": json.dumps(row["messages"])} for row in ROWS]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_rows_of_the_jsonl(name: str) -> None:
    assert rows_of(FORMATS[name]) == rows_of(JSONL)


@pytest.mark.parametrize("write", [lambda rows: as_csv(rows, "prompt", "completion"), as_parquet])
def test_prompts_and_completions_are_columns(write: object) -> None:
    rows = [{"prompt": "a, b", "completion": "c\nd"}, {"prompt": "", "completion": "e"}]

    assert callable(write)
    found = rows_of(write(rows))

    assert [(r.line, r.prompt, r.completion) for r in found] == [  # type: ignore[union-attr]
        (1, "a, b", "c\nd"),
        (2, "", "e"),
    ]


@pytest.mark.parametrize("kind", [kind for kind in RowKind if kind is not RowKind.CONVERSATION])
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_rows_of_every_method_may_be_tables(kind: RowKind, format: str) -> None:
    row = {**KIND_ROWS[kind], **({"answer": "4"} if kind is RowKind.PROMPT else {})}
    content = as_csv([row], *row) if format == "csv" else as_parquet([row])

    assert rows_of(content, kind) == rows_of(json.dumps(row).encode(), kind)


def test_labels_in_a_table_are_lists_where_they_look_like_one() -> None:
    rows = rows_of(b'text,label\na,"[""x"", ""y""]"\nb,[]\n', RowKind.LABELLED)

    assert [row.labels for row in rows if isinstance(row, LabelledRow)] == [("x", "y"), ()]
    assert rows_of(b"text,label\na,[x\n", RowKind.LABELLED)[0].labels == ("[x",)  # type: ignore[union-attr]


def test_plain_text_is_rows_of_text_where_texts_are_asked_for() -> None:
    paragraph = "Words, and more words.\n" * 12_000 + "\n"
    text = "\n\n# Title\n\n" + paragraph * 3

    for content in (text.encode(), gzip.compress(text.encode())):
        rows = rows_of(content, RowKind.TEXT)

        assert "".join(row.text for row in rows if isinstance(row, TextRow)).strip() == text.strip()
        assert [row.line for row in rows] == [1, 24_007]
    with pytest.raises(Exception, match="Line 3 is not valid JSON"):
        rows_of(text.encode())


def test_content_decides_the_format() -> None:
    assert detect_format(JSONL) is Format.JSONL
    assert detect_format(b"") is Format.JSONL
    assert detect_format(b"nonsense, of\nany kind") is Format.JSONL
    assert detect_format(CSV) is Format.CSV
    assert detect_format(FORMATS["parquet"]) is Format.PARQUET
    assert detect_format(gzip.compress(b"")) is Format.GZIP


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_bad_row_is_named_by_its_number(format: str) -> None:
    rows = [*ROWS[:3], {"messages": [{"role": "user", "content": "no answer"}]}]
    content = as_csv(rows, "messages") if format == "csv" else as_parquet(rows)

    with pytest.raises(Exception, match="Line 4 has no assistant message"):
        rows_of(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"messages,tools\n[]\n", "Line 1 has another number of cells"),
        (b"messages\nnot json\n", 'Line 1 has "messages" that is not JSON'),
        (b'prompt,completion\na,"b\n', "Line 1 is not valid CSV"),
        (b"prompt,completion\na,\xff\n", "not UTF-8"),
        (b"prompt,completion\n" + b"a" * 17 * 1024**2, "longer than 16 MiB"),
        (gzip.compress(JSONL)[:-20], "cut off"),
        (gzip.compress(JSONL)[:50] + b"x" * 50, "damaged"),
        (gzip.compress(gzip.compress(JSONL)), "compressed twice"),
        (gzip.compress(FORMATS["parquet"]), "compressed Parquet"),
        (as_parquet([{"text": b"\xff"}]), "Line 1 holds bytes that are no text"),
        (b"messages\n" + b"[" * 100_000 + b"\n", 'Line 1 has "messages" that is not JSON'),
        (
            as_parquet([{"text": "ordinary"}]).replace(b"ordinary", b"ordinar\x80"),
            "holds bytes that are no text",
        ),
        (FORMATS["parquet"][:-100], "does not read"),
        (b"PAR1", "does not read"),
    ],
)
def test_a_broken_file_says_what_is_wrong(content: bytes, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        list(as_jsonl(Memory(content)))


def test_a_bomb_is_stopped_long_before_its_end() -> None:
    bomb = gzip.compress(bytes(128 * 1024**2), 1)
    taken: list[int] = []

    with pytest.raises(UnreadableFile, match="200 times"):
        taken.extend(map(len, as_jsonl(Memory(bomb))))

    assert max(taken) <= 1024**2
    assert sum(taken) < 64 * 1024**2
