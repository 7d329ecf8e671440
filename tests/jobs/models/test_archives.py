"""Archives of adapters: what belongs to them is found, and what is hostile is refused by name."""

import tarfile
import zipfile
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.models.archives import unpack
from service.core.errors import InvalidAdapter
from tests.jobs.models.adapters import (
    CONFIG,
    WEIGHTS,
    BytesSource,
    adapter,
    gzipped,
    huge_header_tar,
    tar_link,
    tarred,
    zip_link,
    zipped,
)

MEGABYTE = 1024**2
FILES = {**adapter(), "README.md": b"# hello", "optimizer.pt": bytes(50_000)}
IN_A_FOLDER = {f"my-adapter/{name}": content for name, content in FILES.items()}


def unpacked(content: bytes, *, limit: int = MEGABYTE, chunk: int = 1000) -> dict[str, bytes]:
    found = {}

    def take(name: str, file: IO[bytes]) -> None:
        found[name] = file.read()

    source: Any = BytesSource(content, chunk)
    unpack(source, (CONFIG, WEIGHTS), take, limit=limit)
    return found


@pytest.mark.parametrize("files", [FILES, IN_A_FOLDER, {f"./{n}": c for n, c in FILES.items()}])
@pytest.mark.parametrize("pack", [zipped, tarred, lambda files: gzipped(tarred(files))])
def test_the_two_files_are_found_in_every_kind_of_archive(files: Any, pack: Any) -> None:
    assert unpacked(pack(files)) == adapter()


@pytest.mark.parametrize("chunk", [1, 511, 513, 10**6])
def test_how_the_store_cuts_its_chunks_changes_nothing(chunk: int) -> None:
    assert unpacked(gzipped(tarred(FILES)), chunk=chunk) == adapter()


HOSTILE = {
    "a path upwards in a tar": (tarred({f"../{CONFIG}": b"{}"}), "outside"),
    "a path upwards in a zip": (zipped({f"a/../../{CONFIG}": b"{}"}), "outside"),
    "an absolute path": (tarred({f"/etc/{CONFIG}": b"{}"}), "outside"),
    "a path of another system": (zipped({f"..\\{CONFIG}x": b"{}"}), "outside"),
    "a symbolic link": (tarred({}, tar_link(CONFIG, "/etc/passwd")), "link"),
    "a hard link": (tarred({}, tar_link(WEIGHTS, "../x", tarfile.LNKTYPE)), "link"),
    "a device": (tarred({}, tar_link(WEIGHTS, "", tarfile.CHRTYPE)), "link or a device"),
    "a symbolic link in a zip": (zip_link(CONFIG, "/etc/passwd"), "link"),
    "the same file twice": (tarred({f"a/{CONFIG}": b"{}", f"b/{CONFIG}": b"{}"}), "both"),
    "a bomb beside the adapter": (gzipped(tarred({"big": bytes(20 * MEGABYTE)})), "unpacks"),
    "too many files": (zipped({f"{i}": b"" for i in range(10_001)}), "10000 files"),
    "a huge header": (huge_header_tar(), "header"),
    "half a zip": (zipped(FILES)[:-30], "broken"),
    "half a gzip": (gzipped(tarred(FILES))[:600], "broken"),
    "half a tar": (tarred({WEIGHTS: bytes(5000)})[:2000], "broken"),
    "no archive": (b"{}", "no .zip"),
    "nothing": (b"", "no .zip"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_or_broken_is_refused(name: str) -> None:
    content, reason = HOSTILE[name]

    with pytest.raises(InvalidAdapter, match=reason):
        unpacked(content)


def test_an_encrypted_zip_is_refused() -> None:
    content = bytearray(zipped({CONFIG: b"{}"}, method=zipfile.ZIP_STORED))
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + flags] |= 1

    with pytest.raises(InvalidAdapter, match="encrypted"):
        unpacked(bytes(content))


@given(st.sampled_from([zipped(FILES), tarred(FILES), gzipped(tarred(FILES))]), st.data())
def test_a_damaged_archive_ends_in_one_way(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))

    try:
        unpacked(bytes(damaged))
    except InvalidAdapter:
        return
