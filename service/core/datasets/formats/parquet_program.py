"""Run as a process of its own by `parquet_process`: SIZE of the file, BYTES of memory."""

import json
import resource
import sys
from collections.abc import Iterator
from typing import IO

from service.core.datasets.formats.bad_table import MEND, BadTable
from service.core.datasets.formats.frames import BAD, DONE, LINES, RANGE, WANTED, write_frame
from service.core.datasets.formats.parquet_rows import parquet_rows
from service.core.datasets.formats.table_lines import table_lines

_PIECE_BYTES = 1024**2


class _Asked:
    """The file, of which the parent has the bytes."""

    def __init__(self, size: int, answers: IO[bytes], questions: IO[bytes]) -> None:
        self.size = size
        self._answers, self._questions = answers, questions

    def stream(self) -> Iterator[bytes]:
        raise NotImplementedError("Parquet is read by ranges")

    def range(self, start: int, end: int) -> bytes:
        write_frame(self._questions, WANTED, RANGE.pack(start, end))
        content = self._answers.read(end - start)
        if len(content) < end - start:
            raise OSError("the file ends early")
        return content


def main(size: int, memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout.buffer
    try:
        _write_lines(_Asked(size, sys.stdin.buffer, out), out)
        write_frame(out, DONE)
    except MemoryError:
        problem = (
            f"The Parquet file takes more than {memory_bytes // 1024**2} MiB of memory to read"
        )
        _say(out, BadTable(problem, MEND))
    except BadTable as bad:
        _say(out, bad)


def _write_lines(source: _Asked, out: IO[bytes]) -> None:
    for line in table_lines(parquet_rows(source)):
        for start in range(0, len(line), _PIECE_BYTES):
            write_frame(out, LINES, line[start : start + _PIECE_BYTES])


def _say(out: IO[bytes], bad: BadTable) -> None:
    said = {"problem": bad.problem, "mend": bad.mend, "line": bad.line}
    write_frame(out, BAD, json.dumps(said).encode())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
