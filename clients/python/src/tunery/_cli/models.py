"""`tunery models`"""

from typing import Annotated

import typer

from tunery._cli.options import AsJson, client_of
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
