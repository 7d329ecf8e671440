"""`tunery-server models`: the operator's allow-list of base models, which is a setting."""

from typing import Annotated

import typer

from service.core.errors import ConfigurationError
from service.core.settings import Settings

app = typer.Typer(help="The base models of TUNERY_BASE_MODELS.", no_args_is_help=True)


@app.command("list")
def list_models() -> None:
    """Show name and source of every base; the first is the default."""
    for position, (name, source) in enumerate(Settings.from_environment().bases.items()):
        typer.echo(f"{name}  {source}{'  (default)' if position == 0 else ''}")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="All of them without a name.")
    ] = None,
) -> None:
    """Load bases as an engine would; the cache is filled then, so that an engine starts quickly."""
    settings = Settings.from_environment()
    for name in names or settings.bases:
        if name not in settings.bases:
            raise ConfigurationError(
                f"No base {name!r} in TUNERY_BASE_MODELS, which has {', '.join(settings.bases)}."
            )
        typer.echo(_verified(name, settings))


def _verified(name: str, settings: Settings) -> str:
    from service.engine.bases import load_base

    base = load_base(name, settings.bases[name], settings)
    number = f"{base.dtype}".removeprefix("torch.")
    return f"{name}  ok: {number} on {base.device}, {base.context_length} tokens of context"
