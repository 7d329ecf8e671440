"""`tunery preview` and `tunery files check`: data before it is trained on."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.text import Text

from tunery._calls.data import PreviewRequest
from tunery._calls.methods import MethodType
from tunery._cli.options import AsJson, client_of, default_model
from tunery._cli.output import complain, hint, print_fields, print_json, print_table, stdout
from tunery._cli.uploading import check_file, file_id
from tunery._types import FileReport, FileReportResult, Finding, PreviewSequence

_FAULTY = 100
"""Exit code of a file that cannot be trained on."""

DataFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A file here, or the id of one, file-…")
]
ForModel = Annotated[
    str | None, typer.Option("--model", help="Whose tokens, else the server's default base's.")
]


def check(
    ctx: typer.Context,
    file: DataFile,
    model: ForModel = None,
    method: Annotated[
        MethodType | None, typer.Option(help="To be trained how, else as the rows look.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Findings to print.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Say what is in a training file, and what is wrong with which line.

    A file here is uploaded first. The exit code is 100 if there are errors.
    """
    check_file(file)
    client = client_of(ctx)
    id_ = file_id(client, file)
    report = client.files.wait_for_report(id_, model=model, method=method, limit=limit)
    if as_json:
        print_json(report)
    elif report.result:
        _print_report(report, report.result)
    else:
        complain(report.error.message if report.error else f"{report.id} {report.status}")
    if report.result is None or report.result.errors:
        raise typer.Exit(_FAULTY)


def preview(
    ctx: typer.Context,
    file: DataFile,
    model: ForModel = None,
    method: Annotated[MethodType, typer.Option(help="To be trained how.")] = "supervised",
    first_line: Annotated[int, typer.Option(min=1, help="Of the file.")] = 1,
    lines: Annotated[int, typer.Option(min=1, max=20, help="How many lines.")] = 3,
    max_seq_length: Annotated[int | None, typer.Option(min=2, help="Tokens of a row.")] = None,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Cut longer rows, instead of refusing them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show rows as a job would train on them; what is trained is «marked».

    A file here is uploaded first.
    """
    check_file(file)
    client = client_of(ctx)
    request = PreviewRequest(
        model=model or default_model(client),
        training_file=file_id(client, file),
        method={"type": method},
        first_line=first_line,
        limit=lines,
    )
    if max_seq_length is not None:
        request["max_seq_length"] = max_seq_length
    if truncate:
        request["over_length"] = "truncate"
    shown = client.fine_tuning.preview(**request)
    if as_json:
        print_json(shown)
        return
    for row in shown.rows:
        for sequence in row.sequences:
            _print_sequence(row.line, sequence)
    _print_findings(shown.findings)
    if shown.has_more:
        hint(f"There are more: tunery preview {file} --first-line {first_line + lines}")


def _print_report(report: FileReport, result: FileReportResult) -> None:
    print_fields(
        {
            "file": report.file_id,
            "model": result.model,
            "trains with": ", ".join(result.methods),
            "rows": f"{result.usable_rows} of {result.rows} usable",
            "tokens": f"{result.tokens}, {result.trained_tokens} of them trained",
            "longest row": f"{result.longest_row_tokens} tokens",
            "findings": ", ".join(f"{each.count} × {each.code}" for each in result.counts),
        }
    )
    _print_findings(result.findings)
    if result.has_more:
        hint(f"There are more: tunery files check {report.file_id} --limit 1000")


def _print_findings(findings: Iterable[Finding]) -> None:
    rows = [
        [
            "–" if finding.line is None else str(finding.line),
            finding.severity,
            finding.message,
            finding.fix or "",
        ]
        for finding in findings
    ]
    if rows:
        print_table(["line", "", "what", "what to do"], rows)


def _print_sequence(line: int, sequence: PreviewSequence) -> None:
    """In colour on a terminal, and marked besides, so that a pipe keeps it."""
    name = "" if sequence.name == "row" else f", {sequence.name}"
    typer.echo(
        f"line {line}{name}: {sequence.num_tokens} tokens, {sequence.num_trained_tokens} trained"
    )
    text = Text()
    is_trained = False
    for token, weight in zip(sequence.token_texts, sequence.weights, strict=True):
        if (weight > 0) != is_trained:
            is_trained = weight > 0
            text.append("«" if is_trained else "»", style="bold green")
        text.append(token, style="green" if is_trained else "")
    if is_trained:
        text.append("»", style="bold green")
    stdout().print(text, soft_wrap=True)
    if sequence.cut:
        typer.echo(f"cut: {sequence.cut.tokens} tokens: {sequence.cut.text}")
