"""The files of an adapter out of an archive: .zip, .tar or .tar.gz, told by their first bytes.

Nothing is written under a name from the archive: wanted files are found by their last part and
handed on as streams. Sizes are counted as bytes arrive, whatever headers claim.
"""

import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, cast

from jobs.models.streams import ChunkReader, ForwardReader, RangeReader, WholeReads
from service.core.errors import InvalidAdapter
from service.core.storage import StoredObjectSource

_MAX_MEMBERS = 10_000
_DEEPEST = 2
"""A folder around the files, as archivers make it."""
_TAR_MAGIC_AT = 257
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(EOFError, ValueError, RecursionError, NotImplementedError, UnicodeError, OverflowError),
)

Take = Callable[[str, IO[bytes]], None]
"""(name, content): called once for every wanted file, and must read it to its end."""


@dataclass(frozen=True)
class _Member:
    name: str
    is_file: bool
    is_folder: bool
    open: Callable[[], Any]


def unpack(source: StoredObjectSource, wanted: Collection[str], take: Take, *, limit: int) -> None:
    """Hand each wanted file that is found to `take`; at most `limit` bytes are unpacked.

    Raises InvalidAdapter for what is no such archive, is broken, names places outside of itself,
    holds links, or holds a wanted file twice; and what `take` raises.
    """
    found: dict[str, str] = {}
    try:
        with closing(cast(Any, source.stream())) as chunks:
            for number, member in enumerate(_members(source, chunks, limit)):
                if number >= _MAX_MEMBERS:
                    raise _refusal(f"it holds more than {_MAX_MEMBERS} files")
                name = _wanted_name(member, wanted)
                if name is None:
                    continue
                if name in found:
                    raise _refusal(f"it holds both {found[name]!r} and {member.name!r}")
                found[name] = member.name
                take(name, cast(IO[bytes], WholeReads(member.open())))
    except _BROKEN as error:
        raise _refusal(f"it is broken ({type(error).__name__})") from error


def _wanted_name(member: _Member, wanted: Collection[str]) -> str | None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise _refusal(f"it names {member.name!r}, a place outside of it")
    if member.is_folder:
        return None
    if not member.is_file:
        raise _refusal(f"{member.name!r} is a link or a device")
    parts = [part for part in path.parts if part != "."]
    return path.name if path.name in wanted and len(parts) <= _DEEPEST else None


def _members(source: StoredObjectSource, chunks: Iterator[bytes], limit: int) -> Iterator[_Member]:
    head = source.range(0, min(source.size, 512))
    if head.startswith(b"PK"):
        return _zip_members(source)
    content = ChunkReader(chunks)
    if head.startswith(b"\x1f\x8b"):
        return _tar_members(gzip.GzipFile(fileobj=cast(Any, content)), limit)
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        return _tar_members(content, limit)
    raise InvalidAdapter(
        "The file is no .zip, .tar or .tar.gz; pack the adapter's folder with one of these.",
        param="file_id",
    )


def _zip_members(source: StoredObjectSource) -> Iterator[_Member]:
    with zipfile.ZipFile(cast(Any, RangeReader(source))) as archive:
        for info in archive.infolist():
            if info.flag_bits & 1:
                raise _refusal(f"{info.filename!r} is encrypted")
            kind = stat.S_IFMT(info.external_attr >> 16)
            yield _Member(
                name=info.filename,
                is_file=kind in (0, stat.S_IFREG),
                is_folder=info.is_dir(),
                open=lambda info=info: archive.open(info),  # type: ignore[misc]
            )


def _tar_members(content: io.RawIOBase | gzip.GzipFile, limit: int) -> Iterator[_Member]:
    reader = cast(Any, ForwardReader(cast(Any, content), limit))
    with tarfile.open(fileobj=reader, mode="r:") as archive:
        for info in archive:
            yield _Member(
                name=info.name,
                is_file=info.isreg() and not info.issparse(),
                is_folder=info.isdir(),
                open=lambda info=info: archive.extractfile(info),  # type: ignore[misc]
            )


def _refusal(reason: str) -> InvalidAdapter:
    return InvalidAdapter(f"The archive is not taken: {reason}.", param="file_id")
