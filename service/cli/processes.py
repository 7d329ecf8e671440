"""Commands that run until they are told to stop: the whole stack, or one of its processes."""

import socket
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from service.core.settings import Settings

Overrides = dict[str, object]


def installed_version() -> str:
    try:
        return version("tunery-server")
    except PackageNotFoundError:
        return "(check-out, not installed)"


def up(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on [TUNERY_API_HOST, 127.0.0.1].")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on; 0 picks a free one [TUNERY_API_PORT, 8000]."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where everything is kept [TUNERY_DATA_DIR, ~/.local/share/tunery]."),
    ] = None,
    base_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SOURCE",
            help="A base model, may be repeated; the first is the default [TUNERY_BASE_MODELS].",
        ),
    ] = None,
) -> None:
    """Run everything on this machine, in the foreground; Ctrl-C stops it.

    TUNERY_DATABASE_URL, TUNERY_REDIS_URL, TUNERY_S3_* and TUNERY_ENGINE_URL each replace a part
    by one of your own.
    """
    from service.supervisor.main import run

    overrides: Overrides = {
        "api_host": host,
        "api_port": port,
        "data_dir": data_dir,
        "base_models": ",".join(base_model) if base_model else None,
    }
    raise typer.Exit(run(_settings(overrides)))


def api() -> None:
    """Run the HTTP API alone."""
    settings = _settings()
    from service.api.main import run

    run(settings)


def worker(
    slots: Annotated[
        int | None,
        typer.Option(help="Training jobs to run at once [TUNERY_TRAINING_SLOTS, 8].", min=1),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Unique and lasting: it releases its former self's leases [host name]."),
    ] = None,
) -> None:
    """Run the workers of one pool: training jobs and short tasks."""
    settings = _settings({"training_slots": slots})
    from jobs.worker.main import run

    run(settings, name=name or socket.gethostname())


def engine() -> None:
    """Run the engine of one device."""
    settings = _settings()
    from service.engine.main import run

    run(settings)


def reconciler() -> None:
    """Run the process that rings, requeues and sweeps."""
    settings = _settings()
    from jobs.reconciler.main import run

    run(settings)


def add_commands(app: typer.Typer) -> None:
    for command in (up, api, worker, engine, reconciler):
        app.command()(command)


def _settings(overrides: Overrides | None = None) -> Settings:
    """Options that were not used leave the environment's word."""
    used = {name: value for name, value in (overrides or {}).items() if value is not None}
    return Settings.from_environment(used)
