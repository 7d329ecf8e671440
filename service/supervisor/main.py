"""`tunery-server up`: the embedded stack in the foreground."""

import asyncio
import json
import time
from pathlib import Path

from pydantic import SecretStr

from service.core.database import upgrade, wait_for_database
from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.supervisor.files import exclusive, prepare_folder, private_files, write_private
from service.supervisor.logs import Report, print_report
from service.supervisor.ports import is_free
from service.supervisor.probes import http_ok, redis_answers, s3_takes_writes
from service.supervisor.stack import STOP_ORDER, local_url, programs, resolve, servers
from service.supervisor.state import State, load_or_create_state
from service.supervisor.supervisor import Stage, Supervisor

CONNECTION_FILE = "connection.json"

_GIVEN_PARTS_SECONDS = 30
_PATIENCE_SECONDS = 30


def run(settings: Settings, *, report: Report = print_report) -> int:
    """Start, keep and stop the stack; returns the exit code.

    Raises ConfigurationError for what keeps it from starting, ComponentFailed for a component that
    does not start. To be called in the main thread: children die with the thread that forked them.
    """
    data_dir = settings.data_dir.expanduser().absolute()
    settings = settings.model_copy(update={"data_dir": data_dir})
    prepare_folder(data_dir)
    with private_files(), exclusive(data_dir):
        (data_dir / CONNECTION_FILE).unlink(missing_ok=True)
        _require_free_port(settings)
        _require_internal_token(settings)
        return asyncio.run(_supervise(settings, load_or_create_state(data_dir), report))


def _require_free_port(settings: Settings) -> None:
    host, port = settings.api_host, settings.api_port
    try:
        free = is_free(port, host)
    except OSError:
        raise ConfigurationError(
            f"{host} is not an address of this machine: choose another with --host."
        ) from None
    if not free:
        raise ConfigurationError(
            f"Port {port} on {host} is taken by another program, or needs more rights: "
            "choose another with --port."
        )


def _require_internal_token(settings: Settings) -> None:
    if settings.is_given("engine_url") and not settings.is_given("internal_token"):
        raise ConfigurationError(
            "TUNERY_ENGINE_URL names an engine that is not started here: "
            "set TUNERY_INTERNAL_TOKEN to the token it was started with."
        )


async def _supervise(given: Settings, state: State, report: Report) -> int:
    started = time.monotonic()
    resolved = resolve(given, state)
    logs = given.data_dir / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)

    def prepare() -> None:
        _check_given_parts(given)
        _migrate(resolved, report)

    async def announce() -> None:
        await _wait_until_serving(resolved, report)
        connection = given.data_dir / CONNECTION_FILE
        write_private(connection, json.dumps(_connection(resolved), indent=2) + "\n")
        report("up", _welcome(resolved, connection, time.monotonic() - started))

    supervisor = Supervisor(
        [
            Stage(servers(given, resolved, state), prepare),
            Stage(programs(given, resolved, state)),
        ],
        logs=logs,
        report=report,
        stop_order=STOP_ORDER,
        drain_seconds=given.drain_seconds,
    )
    try:
        return await supervisor.run(announce)
    finally:
        (given.data_dir / CONNECTION_FILE).unlink(missing_ok=True)


def _migrate(settings: Settings, report: Report) -> None:
    started = time.monotonic()
    upgrade(settings.database_url)
    report("database", f"ready in {time.monotonic() - started:.1f} s")


def _check_given_parts(given: Settings) -> None:
    """Raises ConfigurationError for a server of the operator's that does not answer."""
    if given.is_given("database_url"):
        wait_for_database(given.database_url, _GIVEN_PARTS_SECONDS)
    deadline = time.monotonic() + _GIVEN_PARTS_SECONDS
    probes = {}
    if given.is_given("redis_url"):
        probes["The Redis of TUNERY_REDIS_URL"] = redis_answers(given.redis_url)
    if given.is_given("s3_"):
        probes["The object store of TUNERY_S3_*"] = s3_takes_writes(given)
    if given.is_given("engine_url"):
        probes["The engine of TUNERY_ENGINE_URL"] = http_ok(f"{given.engine_url}/healthz")
    for name, probe in probes.items():
        while not probe(0):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{name} does not answer within {_GIVEN_PARTS_SECONDS} s: see that it runs and "
                    "that address and password are right; `tunery-server doctor` tells more."
                )
            time.sleep(0.5)


async def _wait_until_serving(settings: Settings, report: Report) -> None:
    """Every component works; the api must have heard of the engine and its bases too."""
    url = f"{settings.api_url}/readyz"
    probe, since = http_ok(url), time.monotonic()
    while not await asyncio.to_thread(probe, 0):
        if time.monotonic() - since > _PATIENCE_SECONDS:
            report("api", f"still answers that something is not ready: see {url}")
            since = time.monotonic()
        await asyncio.sleep(0.1)


def _connection(settings: Settings) -> dict[str, object]:
    return {
        "base_url": f"{local_url(settings.api_host, settings.api_port)}/v1",
        "api_key": _plain(settings.api_key),
        "database_url": settings.database_url,
        "redis_url": settings.redis_url,
        "s3": {
            "endpoint_url": settings.s3_endpoint_url,
            "region": settings.s3_region,
            "bucket": settings.s3_bucket,
            "access_key_id": _plain(settings.s3_access_key_id),
            "secret_access_key": _plain(settings.s3_secret_access_key),
        },
    }


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _welcome(settings: Settings, connection: Path, seconds: float) -> str:
    url = f"{local_url(settings.api_host, settings.api_port)}/v1"
    read_key = f"""python3 -c 'import json; print(json.load(open("{connection}"))["api_key"])'"""
    lines = [
        f"ready in {seconds:.1f} s",
        "",
        f"  API   {url}",
        f"  key   in {connection}",
        "",
        "  Try it:",
        f'    export OPENAI_BASE_URL={url} OPENAI_API_KEY="$({read_key})"',
        '    curl -s "$OPENAI_BASE_URL/models" -H "Authorization: Bearer $OPENAI_API_KEY"',
        "",
        "  Ctrl-C stops everything.",
    ]
    return "\n".join(lines)
