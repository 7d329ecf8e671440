"""A Parquet file is read by a process of its own, whose memory the kernel bounds.

What a file says of itself cannot be trusted: a few hundred bytes may stand for a list of a million
long strings, whatever sizes the metadata gives, and pyarrow aborts at some damaged files. Starting
the process takes half a second.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

from service.core.datasets.formats.bad_table import MEND, BadTable
from service.core.datasets.formats.frames import (
    BAD,
    DONE,
    LINES,
    RANGE,
    WANTED,
    read_frame,
)
from service.core.datasets.formats.source import ByteSource

_MEMORY_BYTES = 1024**3
"""Of the child's data. A row group of 256 MiB, the largest that is taken, needs half of it."""
_FRAME_BYTES = 2 * 1024**2
PROGRAM = "service.core.datasets.formats.parquet_program"


def parquet_lines(source: ByteSource) -> Iterator[bytes]:
    """Row N as line N of JSONL, in pieces. Raises BadTable, and what `source.range` raises."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", PROGRAM, str(source.size), str(_MEMORY_BYTES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield from _converse(source, process.stdin, process.stdout)
    except (EOFError, BrokenPipeError):
        raise BadTable("The Parquet file does not read: its reader ended", MEND) from None
    finally:
        process.kill()
        process.communicate()  # closes the pipes, too


def _converse(source: ByteSource, to_child: IO[bytes], from_child: IO[bytes]) -> Iterator[bytes]:
    while True:
        kind, content = read_frame(from_child, limit=_FRAME_BYTES)
        if kind == LINES:
            yield content
        elif kind == WANTED:
            to_child.write(source.range(*RANGE.unpack(content)))
            to_child.flush()
        elif kind == BAD:
            bad = json.loads(content)
            raise BadTable(bad["problem"], bad["mend"], line=bad["line"])
        elif kind == DONE:
            return


def _environment() -> dict[str, str]:
    """Where to find the program, and none of our secrets. Arrow's own allocators reserve more than
    they use."""
    return {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
