"""`tunery jobs`"""

from pathlib import Path
from typing import Annotated

import typer

from tunery._calls.methods import MethodType, TuningType
from tunery._cli import records
from tunery._cli.job_request import TrainingOptions, job_request
from tunery._cli.options import After, AsJson, JobId, Limit, client_of
from tunery._cli.output import hint, local_time, print_fields, print_json, print_table
from tunery._cli.watching import exit_code, report_end, tell_events, watch
from tunery._types import FineTuningJob

app = typer.Typer(no_args_is_help=True, help="Fine-tuning jobs.")
for _command in (
    records.metrics,
    records.rows,
    records.receipt,
    records.events,
    records.verify,
):
    app.command()(_command)


@app.command()
def create(
    ctx: typer.Context,
    training_file: Annotated[str, typer.Argument(help="A file here, or the id of one, file-…")],
    model: Annotated[
        str | None, typer.Option(help="Model to start from, else the server's default base.")
    ] = None,
    validation_file: Annotated[
        str | None, typer.Option(help="A file here, or the id of one, file-…")
    ] = None,
    suffix: Annotated[str | None, typer.Option(help="Part of the tuned model's name.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the rows.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows a step.")] = None,
    learning_rate_multiplier: Annotated[float | None, typer.Option(help="1 is the usual.")] = None,
    lora_rank: Annotated[int | None, typer.Option(min=1, help="Rank of the adapter.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, same result.")] = None,
    method: Annotated[MethodType, typer.Option(help="How to train.")] = "supervised",
    tuning: Annotated[TuningType | None, typer.Option(help="What to train, else lora.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Absolute, instead of the multiplier.")
    ] = None,
    max_seq_length: Annotated[int | None, typer.Option(min=8, help="Tokens of a row.")] = None,
    early_stopping_patience: Annotated[
        int | None, typer.Option(min=1, help="Evaluations without a better one.")
    ] = None,
    beta: Annotated[float | None, typer.Option(help="dpo: strength of the preference.")] = None,
    loss: Annotated[str | None, typer.Option(help="dpo: dpo, ipo or simpo.")] = None,
    grader: Annotated[
        Path | None, typer.Option(help="reinforcement: a file with the grader as JSON.")
    ] = None,
    reward_model: Annotated[str | None, typer.Option(help="rlhf: its reward model.")] = None,
    hyperparameter: Annotated[
        list[str] | None,
        typer.Option("--hyperparameter", "-H", metavar="KEY=VALUE", help="Any other."),
    ] = None,
    method_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the method, such as pooling=mean."),
    ] = None,
    tuning_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the tuning, such as hidden_layers=[64]."),
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Share no pass with another job.")] = False,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="May be given several times.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Watch until the job is finished.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a job. What is left out is chosen by the server.

    A VALUE is JSON, `@FILE` with JSON in it, or else a text.

    With --wait the exit code is 0 when the job succeeded, 100 when it failed and 101 when it was
    cancelled. Ctrl-C ends the watching, not the job.
    """
    options = TrainingOptions(
        model=model,
        suffix=suffix,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate_multiplier=learning_rate_multiplier,
        lora_rank=lora_rank,
        seed=seed,
        metadata=tuple(metadata or ()),
        more=tuple(hyperparameter or ()),
        options=tuple(method_option or ()),
        tuning_options=tuple(tuning_option or ()),
        method=method,
        tuning=tuning,
        learning_rate=learning_rate,
        max_seq_length=max_seq_length,
        early_stopping_patience=early_stopping_patience,
        beta=beta,
        loss=loss,
        grader=grader,
        reward_model=reward_model,
        is_exact=exact,
    )
    client = client_of(ctx)
    request = job_request(client, training_file, validation_file, options)
    job = client.fine_tuning.jobs.create(**request)
    if wait:
        hint(f"{job.id} trains {job.model}")
        _end(watch(client, job.id), as_json=as_json)
    if as_json:
        print_json(job)
        return
    print_fields({"id": job.id, "status": job.status, "model": job.model, "seed": job.seed})
    hint(f"Watch it: tunery jobs logs -f {job.id}")


@app.command("list")
def list_(
    ctx: typer.Context, limit: Limit = 20, after: After = None, as_json: AsJson = False
) -> None:
    """List jobs, newest first."""
    page = client_of(ctx).fine_tuning.jobs.list(limit=limit, after=after).page()
    if as_json:
        print_json(page)
        return
    if not page.data:
        hint("No jobs. Start one: tunery jobs create rows.jsonl --wait")
        return
    print_table(
        ["id", "status", "model", "tuned model", "created"],
        [
            [job.id, job.status, job.model, job.fine_tuned_model or "–", local_time(job.created_at)]
            for job in page.data
        ],
    )
    if page.has_more:
        hint(f"There are more: tunery jobs list --after {page.data[-1].id}")


@app.command()
def get(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Show one job."""
    job = client_of(ctx).fine_tuning.jobs.retrieve(job_id)
    if as_json:
        print_json(job)
    else:
        _print_job(job)


@app.command()
def logs(
    ctx: typer.Context,
    job_id: JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job is finished.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print what happened to a job, oldest first; with --json one event a line."""
    client = client_of(ctx)
    if not follow:
        tell_events(client, job_id, as_json=as_json)
        return
    job = watch(client, job_id, as_json=as_json)
    if as_json:
        raise typer.Exit(exit_code(job))
    _end(job, as_json=False)


@app.command()
def cancel(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Stop a job for good; its stored checkpoints stay."""
    _tell_status(client_of(ctx).fine_tuning.jobs.cancel(job_id), as_json=as_json)


@app.command()
def pause(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Store what is trained and give the place up, until the job is resumed."""
    job = client_of(ctx).fine_tuning.jobs.pause(job_id)
    _tell_status(job, as_json=as_json)
    if not as_json:
        hint(f"Go on with it: tunery jobs resume {job.id}")


@app.command()
def resume(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Go on with a paused job after its last stored step."""
    job = client_of(ctx).fine_tuning.jobs.resume(job_id)
    _tell_status(job, as_json=as_json)
    if not as_json:
        hint(f"Watch it: tunery jobs logs -f {job.id}")


def _tell_status(job: FineTuningJob, *, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        typer.echo(f"{job.id} is {job.status}")


def _end(job: FineTuningJob, *, as_json: bool) -> None:
    """Say how a watched job ended, and leave with its exit code."""
    if as_json:
        print_json(job)
    else:
        report_end(job)
    raise typer.Exit(exit_code(job))


def _print_job(job: FineTuningJob) -> None:
    progress = job.progress and f"step {job.progress.step}/{job.progress.total_steps}"
    print_fields(
        {
            "id": job.id,
            "status": job.status,
            "model": job.model,
            "tuned model": job.fine_tuned_model,
            "training file": job.training_file,
            "validation file": job.validation_file,
            "result files": " ".join(job.result_files),
            "created": local_time(job.created_at),
            "finished": job.finished_at and local_time(job.finished_at),
            "finishes about": job.estimated_finish and local_time(job.estimated_finish),
            "progress": progress,
            "trained tokens": job.trained_tokens,
            "hyperparameters": job.hyperparameters,
            "seed": job.seed,
            "metadata": job.metadata,
            "error": job.error and f"{job.error.message} (code {job.error.code})",
        }
    )
