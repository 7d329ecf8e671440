"""A file in parts passes through the api, and is never held there."""

import hashlib
from pathlib import Path

import httpx2
import openai
from openai.types import Upload

from service.core.database import upgrade
from service.core.security import new_api_key
from service.core.storage import ObjectStore
from tests.jobs.processes import running_python
from tests.polling import poll_until
from tests.running_api import api_settings
from tests.servers.seaweedfs import S3Credentials

_PART = bytes(range(256)) * 2**15  # 8 MiB
_PARTS = 20
_MOST_GROWTH_KIB = 80 * 1024
"""Half of the file. Measured: some 25 MiB, for one part on its way and boto3's buffer."""
_API = (
    "from service.core.settings import Settings; from service.api.main import run; "
    "run(Settings.from_environment())"
)


def test_an_upload_in_parts_takes_no_memory_of_its_size(
    tmp_path: Path, s3_credentials: S3Credentials, valkey_url: str, object_store: ObjectStore
) -> None:
    object_store.ensure_bucket()
    key = new_api_key()
    settings = api_settings(tmp_path, s3_credentials, valkey_url, api_key=key)
    upgrade(settings.database_url)
    url = f"http://127.0.0.1:{settings.api_port}"
    digest = hashlib.md5(_PART * _PARTS).hexdigest()

    with (
        running_python(_API, settings, tmp_path / "api.log") as api,
        openai.OpenAI(base_url=f"{url}/v1", api_key=key, timeout=120) as sdk,
    ):
        poll_until(lambda: _answers(url), "the api starts", timeout_seconds=30)
        _upload(sdk, _PART, 1, None)  # so that everything is loaded
        before = _peak_kib(api.process.pid)
        done = _upload(sdk, _PART, _PARTS, digest)
        growth = _peak_kib(api.process.pid) - before

    assert done.bytes == len(_PART) * _PARTS
    assert growth < _MOST_GROWTH_KIB


def _upload(sdk: openai.OpenAI, part: bytes, count: int, md5: str | None) -> Upload:
    upload = sdk.uploads.create(
        bytes=len(part) * count, filename="a", mime_type="text/plain", purpose="fine-tune"
    )
    parts = [sdk.uploads.parts.create(upload.id, data=part).id for _ in range(count)]
    return sdk.uploads.complete(upload.id, part_ids=parts, md5=md5 or openai.omit)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz").is_success
    except httpx2.TransportError:
        return False


def _peak_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
