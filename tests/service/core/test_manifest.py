"""Manifests: canonical bytes name a delta, and nothing else passes for one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.manifest import Manifest, ManifestFile
from service.core.object_keys import adapter_prefix, attempt_prefix, base_text_key, file_key

files = st.builds(ManifestFile, st.text(), st.integers(0), st.text())
manifests = st.builds(
    Manifest,
    kind=st.text(),
    base=st.text(),
    base_digest=st.text(),
    job=st.text(),
    step=st.integers(0),
    files=st.lists(files, max_size=3).map(tuple),
)
EXAMPLE = Manifest("lora", "tiny", "d", "ftjob-1", 7, (ManifestFile("a", 1, "s"),))


@given(manifest=manifests)
def test_a_manifest_comes_back_from_its_bytes(manifest: Manifest) -> None:
    again = Manifest.from_bytes(manifest.to_bytes())

    assert again == manifest
    assert again.digest == manifest.digest


def test_every_change_changes_the_digest() -> None:
    changed = [
        replace(EXAMPLE, step=8),
        replace(EXAMPLE, base_digest="e"),
        replace(EXAMPLE, files=(ManifestFile("a", 1, "t"),)),
        replace(EXAMPLE, files=()),
    ]

    assert len({manifest.digest for manifest in [EXAMPLE, *changed]}) == 5


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        json.dumps({**json.loads(EXAMPLE.to_bytes()), "format": 2}).encode(),
        json.dumps({**json.loads(EXAMPLE.to_bytes()), "more": 1}).encode(),
        json.dumps({**json.loads(EXAMPLE.to_bytes()), "files": 1}).encode(),
        json.dumps({**json.loads(EXAMPLE.to_bytes()), "files": ["a"]}).encode(),
        b'{"format": 1}',
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (of json, of UTF-8 or ours)
        Manifest.from_bytes(content)


def test_attempts_write_below_prefixes_of_their_own() -> None:
    prefixes = [attempt_prefix("p1", "j", 1), attempt_prefix("p1", "j", 11)]

    assert all(prefix.endswith("/") for prefix in prefixes)
    assert not prefixes[1].startswith(prefixes[0])
    assert adapter_prefix("p1", "j", 11, 40) == "p/p1/jobs/j/e11/step-000040/adapter"
    assert file_key("p1", "file-1") == "p/p1/files/file-1"
    assert base_text_key("abc") == "bases/abc/text.json"
