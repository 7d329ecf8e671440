"""Which components `up` runs, from the settings and the kept state.

A part whose address the operator gave is left out and used instead.
"""

import sys
import sysconfig
from pathlib import Path

from pydantic import SecretStr

from service.core.settings import Settings, Variables, inherited_environment
from service.supervisor.component import Component, Probe
from service.supervisor.probes import http_ok, outlived, rq_workers_registered
from service.supervisor.seaweedfs import SeaweedPorts, SeaweedSecrets, seaweedfs
from service.supervisor.state import State
from service.supervisor.valkey import valkey, valkey_url

STOP_ORDER = ("api", "worker", "engine", "reconciler", "s3", "valkey")

_FIRST_LOAD_SECONDS = 900
"""An engine may have to convert a base and compile for it before it answers."""


def resolve(settings: Settings, state: State) -> Settings:
    """The settings of every component: what was given, and the embedded parts for the rest."""
    return settings.model_copy(
        update={
            **_secrets(settings, state),
            **_addresses(settings, state),
            **_embedded(settings, state),
        }
    )


def _secrets(settings: Settings, state: State) -> dict[str, object]:
    kept = {
        "api_key": state.api_key,
        "key_pepper": state.key_pepper,
        "encryption_keys": state.encryption_key,
        "internal_token": state.internal_token,
    }
    return {name: SecretStr(value) for name, value in kept.items() if not settings.is_given(name)}


def local_url(host: str, port: int) -> str:
    """Where this machine reaches a server that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _addresses(settings: Settings, state: State) -> dict[str, object]:
    api_port = settings.api_port or state.ports["api"]
    addresses: dict[str, object] = {
        "api_port": api_port,
        "api_url": local_url(settings.api_host, api_port),
    }
    if not settings.is_given("engine_url"):
        port = settings.engine_port if settings.is_given("engine_port") else state.ports["engine"]
        addresses |= {"engine_port": port, "engine_url": local_url(settings.engine_host, port)}
    return addresses


def _embedded(settings: Settings, state: State) -> dict[str, object]:
    parts: dict[str, object] = {}
    if not settings.is_given("database_url"):
        parts["database_url"] = f"sqlite:///{settings.data_dir / 'tunery.db'}"
    if not settings.is_given("redis_url"):
        parts["redis_url"] = valkey_url(state.ports["redis"], state.redis_password)
    if not settings.is_given("s3_"):
        parts |= {
            "s3_endpoint_url": f"http://127.0.0.1:{state.ports['s3']}",
            "s3_access_key_id": SecretStr(state.s3_access_key_id),
            "s3_secret_access_key": SecretStr(state.s3_secret_access_key),
        }
    return parts


def servers(given: Settings, resolved: Settings, state: State) -> list[Component]:
    """The embedded Valkey and S3, as far as they are needed."""
    folder, ports = given.data_dir, state.ports
    components = []
    if not given.is_given("redis_url"):
        components.append(
            valkey(folder / "valkey", port=ports["redis"], password=state.redis_password)
        )
    if not given.is_given("s3_"):
        components.append(embedded_s3(given, resolved, state))
    return components


def embedded_s3(given: Settings, resolved: Settings, state: State) -> Component:
    ports = state.ports
    return seaweedfs(
        given.data_dir / "seaweedfs",
        ports=SeaweedPorts(
            s3=ports["s3"],
            master=ports["s3_master"],
            volume=ports["s3_volume"],
            filer=ports["s3_filer"],
        ),
        secrets=SeaweedSecrets(
            state.s3_access_key_id, state.s3_secret_access_key, state.s3_signing_key
        ),
        settings=resolved,
    )


def programs(given: Settings, resolved: Settings, state: State) -> list[Component]:
    """Our own processes; an engine only where none was given."""
    slots = resolved.training_slots + resolved.short_slots + resolved.batch_slots
    slots += resolved.webhook_slots + resolved.model_slots
    components = [
        _program(
            "api",
            resolved,
            is_ready=http_ok(f"{resolved.api_url}/healthz"),
            nice=0,
            stop_share=0.15,
        ),
        _program(
            "worker",
            resolved,
            *("--name", state.worker_name),
            is_ready=rq_workers_registered(resolved.redis_url, slots),
            stop_share=0.35,
        ),
        _program("reconciler", resolved, is_ready=outlived(resolved.reconcile_seconds)),
    ]
    if not given.is_given("engine_url"):
        components.append(
            _program(
                "engine",
                resolved,
                is_ready=http_ok(f"{resolved.engine_url}/healthz"),
                nice=0,
                ready_seconds=_FIRST_LOAD_SECONDS,
                stop_share=0.25,
            )
        )
    return components


def _program(
    name: str,
    settings: Settings,
    *arguments: str,
    is_ready: Probe,
    nice: int = 19,
    ready_seconds: float = 180,
    stop_share: float = 0.1,
) -> Component:
    """A subcommand of this program. -P: no package of the working directory can pose as ours."""
    return Component(
        name=name,
        command=[sys.executable, "-P", "-m", "service", name, *arguments],
        is_ready=is_ready,
        environment=_import_path() | _within_drain(settings, stop_share).as_environment(),
        nice=nice,
        ready_seconds=ready_seconds,
        stop_share=stop_share,
    )


def _within_drain(settings: Settings, share: float) -> Settings:
    """A component plans with its own part of the time."""
    return settings.model_copy(update={"drain_seconds": settings.drain_seconds * share})


def _import_path() -> Variables:
    """The inherited environment, in which a check-out that is not installed is found too."""
    variables = inherited_environment()
    root = str(Path(__file__).resolve().parents[2])
    if root in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        return variables
    inherited = variables.get("PYTHONPATH")
    return variables | {"PYTHONPATH": f"{root}:{inherited}" if inherited else root}
