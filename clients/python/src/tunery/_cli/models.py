"""`tunery models`"""

from typing import Annotated

import typer

from tunery._cli.options import After, AsJson, Limit, client_of
from tunery._cli.output import hint, local_time, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Bases, tuned models and checkpoints.")


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List models: the default base first, tuned models after the bases, newest first."""
    page = client_of(ctx).models.list().page()
    if as_json:
        print_json(page)
        return
    tuned = {model.id for model in page.data if model.id.startswith("ft:")}
    print_table(
        ["model", "kind", "created"],
        [[m.id, "tuned" if m.id in tuned else "base", local_time(m.created)] for m in page.data],
    )
    if not tuned:
        hint("No tuned models. Train one: tunery jobs create rows.jsonl --wait")


@app.command()
def delete(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="Name of a tuned model, ft:…")],
    as_json: AsJson = False,
) -> None:
    """Delete a tuned model."""
    deleted = client_of(ctx).models.delete(model)
    if as_json:
        print_json(deleted)
    else:
        typer.echo(f"{deleted.id} is deleted")


@app.command()
def alias(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The further name.")],
    model: Annotated[str, typer.Argument(help="The model that it shall mean.")],
    as_json: AsJson = False,
) -> None:
    """Give a model a further name, or point the name at another model."""
    made = client_of(ctx).models.aliases.set(name, model=model)
    if as_json:
        print_json(made)
    else:
        typer.echo(f"{made.alias} means {made.model}")


@app.command()
def aliases(
    ctx: typer.Context, limit: Limit = 20, after: After = None, as_json: AsJson = False
) -> None:
    """List the further names of models, newest first."""
    page = client_of(ctx).models.aliases.list(limit=limit, after=after).page()
    if as_json:
        print_json(page)
        return
    if not page.data:
        hint("No aliases. Make one: tunery models alias NAME MODEL")
        return
    print_table(["alias", "model"], [[each.alias, each.model] for each in page.data])
    if page.has_more:
        hint(f"There are more: tunery models aliases --after {page.data[-1].id}")


@app.command()
def unalias(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="As `aliases` lists it.")],
    as_json: AsJson = False,
) -> None:
    """Delete a further name; the model stays."""
    deleted = client_of(ctx).models.aliases.delete(name)
    if as_json:
        print_json(deleted)
    else:
        typer.echo(f"{deleted.id} means nothing any more")
