"""`tunery models`"""

from pathlib import Path
from typing import Annotated

import typer

from tunery._cli.options import After, AsJson, Limit, client_of
from tunery._cli.output import complain, hint, local_time, print_json, print_table
from tunery._cli.uploading import upload_with_bar
from tunery._cli.watching import EXIT_CODES
from tunery._sync import Tunery
from tunery._types import Operation

_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_PURPOSE = "user_data"

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


@app.command("import")
def import_(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(exists=True, help="An adapter's folder, or a .zip or .tar.gz of it.")
    ],
    base: Annotated[str, typer.Option(help="The base on which it was trained.")],
    suffix: Annotated[str | None, typer.Option(help="A part of the model's name.")] = None,
    base_digest: Annotated[
        str | None, typer.Option(help="Refuse unless the base has this digest.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a model of an adapter that was trained elsewhere (PEFT's format)."""
    client = client_of(ctx)
    files = _upload_adapter(client, path) if path.is_dir() else None
    archive = None if files else upload_with_bar(client, path, purpose=_PURPOSE).id
    begun = client.models.imports.create(
        base=base, file_id=archive, files=files, suffix=suffix, base_digest=base_digest
    )
    ended = client.models.imports.wait(begun.id)
    if as_json:
        print_json(ended)
    elif ended.result:
        for warning in ended.result.warnings:
            hint(f"warning: {warning}")
        typer.echo(ended.model)
        hint(f'Ask it: tunery chat --model {ended.model} "Hello"')
    _end(ended, as_json=as_json)


@app.command()
def export(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="Name of a tuned model or checkpoint, ft:…")],
    format: Annotated[str, typer.Option(help="peft, merged or gguf.")] = "peft",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write, else the file is named.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a file of a tuned model, proven to compute what is served."""
    client = client_of(ctx)
    exports = client.models.exports
    ended = exports.wait(model, exports.create(model, format=format).id)
    if ended.result and out:
        client.files.download(ended.result.file, out)
    if as_json:
        print_json(ended)
    elif ended.result:
        typer.echo(out or ended.result.file)
        if out is None:
            hint(f"Fetch it: tunery files content {ended.result.file} -o model.{format}")
    _end(ended, as_json=as_json)


def _upload_adapter(client: Tunery, folder: Path) -> dict[str, str]:
    """The two files that make an adapter; raises FileNotFoundError, naming the missing one."""
    for name in _ADAPTER_FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}: it is no adapter in PEFT's format")
    return {
        name: upload_with_bar(client, folder / name, purpose=_PURPOSE).id for name in _ADAPTER_FILES
    }


def _end(operation: Operation, *, as_json: bool) -> None:
    """Exit as `jobs create --wait` does."""
    if operation.status != "succeeded" and not as_json:
        reason = operation.error.message if operation.error else operation.status
        complain(f"{reason} ({operation.id})")
    if operation.status != "succeeded":
        raise typer.Exit(EXIT_CODES[operation.status])


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
