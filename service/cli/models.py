"""`tunery-server models`: the operator's allow-list of base models, which is a setting, and the
foreign names under which people may ask for them, which are rows."""

from typing import Annotated

import typer

from service.core.errors import ConfigurationError
from service.core.settings import Settings

app = typer.Typer(
    help="The base models of TUNERY_BASE_MODELS, and further names for them.", no_args_is_help=True
)


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


@app.command()
def alias(
    name: Annotated[str, typer.Argument(help="A name from elsewhere: gpt-4o-mini-2024-07-18")],
    base: Annotated[str, typer.Argument(help="The base or embedding model that it means here.")],
) -> None:
    """Let every project ask for a base under a further name."""
    from service.cli.base_alias_store import set_base_alias
    from service.cli.targets import operator_settings

    set_base_alias(operator_settings(), name, base)
    typer.echo(f"{name} means {base}.")


@app.command()
def aliases() -> None:
    """Show the further names of bases."""
    from service.cli.base_alias_store import list_base_aliases
    from service.cli.targets import operator_settings

    for name, base in list_base_aliases(operator_settings()):
        typer.echo(f"{name}  {base}")


@app.command()
def unalias(name: Annotated[str, typer.Argument(help="As `aliases` shows it.")]) -> None:
    """Take a further name back."""
    from service.cli.base_alias_store import delete_base_alias
    from service.cli.targets import operator_settings

    delete_base_alias(operator_settings(), name)
    typer.echo(f"{name} means nothing any more.")


def _verified(name: str, settings: Settings) -> str:
    from service.engine.bases import load_base

    base = load_base(name, settings.bases[name], settings)
    number = f"{base.dtype}".removeprefix("torch.")
    return f"{name}  ok: {number} on {base.device}, {base.context_length} tokens of context"
