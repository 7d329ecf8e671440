"""Run as a process of its own: reads hostile files and says what was found and what it took."""

import gzip
import json
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

from service.core.datasets import Examination, LengthLimit, Report, RowKind, SeenRows, examine
from service.core.datasets.formats import as_jsonl
from service.core.text import TextAssets, TextCodec

MIB = 1024**2
TEN_GB = 10 * 1024


@dataclass(frozen=True)
class Stream:
    """A file that is made while it is read."""

    chunks: Callable[[], Iterator[bytes]]
    size: int = TEN_GB * MIB

    def stream(self) -> Iterator[bytes]:
        return self.chunks()

    def range(self, start: int, end: int) -> bytes:
        raise OSError(f"[{start}, {end}) of a file that cannot be sought in")


@dataclass(frozen=True)
class OnDisk:
    """A file that lies there."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def stream(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while chunk := file.read(MIB):
                yield chunk

    def range(self, start: int, end: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)


def endless(head: bytes, chunk: bytes) -> Stream:
    return Stream(lambda: chain([head], repeat(chunk, TEN_GB)))


def flood(content: bytes, times: int) -> Iterator[bytes]:
    """A gzip file of `content`, again and again, of which nothing is kept."""
    yield from repeat(gzip.compress(content, 9), times)


CASES = {
    "line": (endless(b'{"text": "', b"x" * MIB), RowKind.TEXT),
    "text": (endless(b"Once ", b"x" * MIB), RowKind.TEXT),
    "csv line": (endless(b"text,label\n", b"x" * MIB), RowKind.LABELLED),
    "csv cell": (endless(b'text,label\n"', b"x" * (MIB - 1) + b"\n"), RowKind.LABELLED),
    "csv row": (
        endless(b"text,label\n", (b'"' + b"x" * 60 + b'\nx",') * (MIB // 65)),
        RowKind.LABELLED,
    ),
    "bomb": (Stream(lambda: flood(bytes(64 * MIB), 160)), RowKind.TEXT),
    "many faults": (Stream(lambda: repeat(b"{\n" * 50_000, 2)), RowKind.TEXT),
    "one fault": (Stream(lambda: iter([b"[" * 8 * MIB])), RowKind.TEXT),
}


def main(tokenizer: str, parquet: str) -> None:
    codec = TextCodec(TextAssets.from_pretrained_folder(Path(tokenizer)))
    cases = {**CASES, "parquet": (OnDisk(Path(parquet)), RowKind.TEXT)}
    before = _peak_bytes()
    found = {}
    for name, (source, kind) in cases.items():
        report = Report()
        with SeenRows() as seen:
            examination = Examination(kind, codec, LengthLimit(1000), seen=seen)
            for _ in examine(as_jsonl(source, kind=kind), examination, report):
                pass
        found[name] = [report.errors, report.kept[0].message, _peak_bytes() - before]
    json.dump(found, sys.stdout)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
