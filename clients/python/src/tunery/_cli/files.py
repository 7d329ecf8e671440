"""`tunery files`"""

from pathlib import Path
from typing import Annotated

import typer

from tunery._cli.data import check
from tunery._cli.options import After, AsJson, FileId, Limit, client_of
from tunery._cli.output import (
    hint,
    local_time,
    print_fields,
    print_json,
    print_table,
)
from tunery._cli.uploading import upload_with_bar

app = typer.Typer(no_args_is_help=True, help="Data sets, and what jobs write.")


app.command()(check)


@app.command()
def upload(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    purpose: Annotated[str, typer.Option(help="What the file is for.")] = "fine-tune",
    as_json: AsJson = False,
) -> None:
    """Send a file to the server."""
    file = upload_with_bar(client_of(ctx), path, purpose=purpose)
    if as_json:
        print_json(file)
        return
    print_fields({"id": file.id, "filename": file.filename, "bytes": file.bytes})
    if purpose == "fine-tune":
        hint(f"Train on it: tunery jobs create {file.id} --wait")


@app.command("list")
def list_(
    ctx: typer.Context,
    limit: Limit = 20,
    after: After = None,
    purpose: Annotated[str | None, typer.Option(help="Only files with this purpose.")] = None,
    as_json: AsJson = False,
) -> None:
    """List files, newest first."""
    page = client_of(ctx).files.list(purpose=purpose, limit=limit, after=after).page()
    if as_json:
        print_json(page)
        return
    if not page.data:
        hint("No files. Send one: tunery files upload rows.jsonl")
        return
    print_table(
        ["id", "filename", "purpose", "bytes", "created"],
        [[f.id, f.filename, f.purpose, str(f.bytes), local_time(f.created_at)] for f in page.data],
    )
    if page.has_more:
        hint(f"There are more: tunery files list --after {page.data[-1].id}")


@app.command()
def content(
    ctx: typer.Context,
    file_id: FileId,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write, else stdout.")
    ] = None,
) -> None:
    """Fetch what is in a file."""
    fetched = client_of(ctx).files.content(file_id)
    if output:
        output.write_bytes(fetched)
    else:
        typer.echo(fetched, nl=False)


@app.command()
def delete(ctx: typer.Context, file_id: FileId, as_json: AsJson = False) -> None:
    """Delete a file."""
    deleted = client_of(ctx).files.delete(file_id)
    if as_json:
        print_json(deleted)
    else:
        typer.echo(f"{deleted.id} is deleted")
