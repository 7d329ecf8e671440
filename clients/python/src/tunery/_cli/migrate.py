"""`tunery migrate`"""

from pathlib import Path
from typing import Annotated

import typer

from tunery._cli.options import client_of
from tunery._cli.output import complain, hint, print_table
from tunery.migration import (
    CaptureOptions,
    Equivalence,
    Migration,
    MigrationOptions,
    Report,
    Source,
)
from tunery.migration.source import DEFAULT_BASE_URL

app = typer.Typer(no_args_is_help=True, help="Move here from elsewhere.")
_FAILED = 100
_INTERRUPTED = 130


@app.callback()
def _group() -> None:
    """Makes `openai` a command of its own although it is the only one."""


@app.command()
def openai(
    ctx: typer.Context,
    source_api_key: Annotated[
        str, typer.Option(envvar="TUNERY_SOURCE_API_KEY", help="Key of the place that is left.")
    ],
    source_base_url: Annotated[
        str, typer.Option(envvar="TUNERY_SOURCE_BASE_URL", help="Its address.")
    ] = DEFAULT_BASE_URL,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="THERE=HERE", help="A base there, and which takes its place."
        ),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=PATH", help="A copy of a data set that is gone there."),
    ] = None,
    job: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this job; may be repeated.")
    ] = None,
    all_files: Annotated[
        bool, typer.Option("--all-files", help="Also data sets that no job needs.")
    ] = False,
    hyperparameters: Annotated[
        bool, typer.Option(help="Those of the source, or chosen here anew.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look, and change nothing.")] = False,
    wait: Annotated[bool, typer.Option(help="Until the jobs here are finished.")] = True,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Make jobs again that failed here.")
    ] = False,
    workdir: Annotated[
        Path, typer.Option(help="Keeps data sets, answers and what is done.")
    ] = Path("tunery-migration"),
    capture: Annotated[
        bool, typer.Option("--capture", help="Train on the old models' answers; see the docs.")
    ] = False,
    prompts: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSONL to capture with.")
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of the prompts to judge by.")
    ] = 0.1,
    temperature: Annotated[
        float, typer.Option(help="For captured answers; below 0 sends none.")
    ] = 0.0,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of a captured answer.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Prompts asked at once.")] = 4,
) -> None:
    """Carry files, jobs and names over from an OpenAI-compatible server.

    Run it again whenever it was cut off: nothing is made twice. Nothing is changed at the source.
    """
    captured = CaptureOptions(
        prompts, held_out, temperature if temperature >= 0 else None, max_tokens, concurrency
    )
    options = MigrationOptions(
        bases=_pairs(map_, "--map"),
        given_files={k: Path(v) for k, v in _pairs(file, "--file").items()},
        only_jobs=frozenset(job) if job else None,
        all_files=all_files,
        keep_hyperparameters=hyperparameters,
        dry_run=dry_run,
        wait=wait,
        retry_failed=retry_failed,
        capture=captured if capture else None,
        on_progress=hint,
    )
    client = client_of(ctx)
    try:
        with Source(base_url=source_base_url, api_key=source_api_key) as source:
            migration = Migration(source, client, workdir, options)
            report = migration.run()
    except KeyboardInterrupt:
        hint("Interrupted; the same command goes on from here.")
        raise typer.Exit(_INTERRUPTED) from None
    _print(report, migration.equivalences)
    if report.has_failures:
        complain("some of it could not be carried over; the table says why")
        raise typer.Exit(_FAILED)


def _print(report: Report, equivalences: list[Equivalence]) -> None:
    rows = [[r.kind, r.source, r.outcome, r.here or "–", r.note] for r in report.rows]
    print_table(["what", "there", "outcome", "here", "note"], rows)
    if equivalences:
        print_table(
            ["old model", "prompts", "exact", "similarity", "token F1", "each prompt"],
            [
                [
                    e.model,
                    str(e.prompts),
                    f"{e.exact:.0%}",
                    f"{e.similarity:.3f}",
                    f"{e.token_f1:.3f}",
                    str(e.table),
                ]
                for e in equivalences
            ],
        )


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """Raises BadParameter."""
    pairs = {}
    for pair in given or []:
        name, separator, value = pair.partition("=")
        if not (name and separator and value):
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint=option)
        pairs[name] = value
    return pairs
