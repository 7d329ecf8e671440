"""Teach a small model to answer a support desk's mail, and see what it has learnt.

Starts a whole Tunery on this machine, fine-tunes the default base on the mails of train.jsonl
through the public API, and asks the base and the tuned model about the mails of heldout.jsonl,
whose products and phrasings occur nowhere in training. Exits 0 when the tuned model does well.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from score import Question, count_exact, is_exact, parse_answer, read_questions
from stack import Stack, StackError, running_stack

from tunery import FineTuningJob, Tunery, TuneryError
from tunery.progress import JobDisplay

FOLDER = Path(__file__).parent
JOB_OPTIONS: dict[str, Any] = {
    "suffix": "support-desk",
    "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": "auto"}}},
    "tuning": {"type": "lora"},
}
"""All that the job is told beside its model, file and seed."""
ANSWER_OPTIONS: dict[str, Any] = {"temperature": 0, "max_tokens": 96}
QUESTIONS_AT_ONCE = 10
LEAST_SCORE = 16
"""Of 20; a tuned model below it has not learnt its job."""


class DemoError(Exception):
    """The demonstration cannot go on, or did not show what it should."""


def main() -> int:
    options = _parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = _console()
    data_dir = options.data_dir or Path(tempfile.mkdtemp(prefix="tunery-demo-"))
    is_ours = options.data_dir is None
    console.print("[bold]1. Starting a server of your own[/], which takes longest the first time")
    try:
        with running_stack(data_dir, keep=options.keep) as stack:
            model = _demonstrate(console, stack, seed=options.seed)
    except (DemoError, StackError, TuneryError) as error:
        console.print(f"[red]The demo failed:[/] {escape(str(error))}")
        console.print(f"The server's files are in {data_dir}")
        return 1
    except (KeyboardInterrupt, SystemExit):
        console.print("Stopped.")
        _remove(data_dir, is_ours)
        return 128 + signal.SIGINT
    if options.keep:
        _print_way_on(console, stack, model, data_dir)
    else:
        _remove(data_dir, is_ours)
    _print_hint(console, options.keep)
    return 0


def _console() -> Console:
    """Emoji stay off: `:a:` in a model's name is no picture."""
    console = Console(highlight=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=120)


def _remove(data_dir: Path, is_ours: bool) -> None:
    if is_ours:
        shutil.rmtree(data_dir)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="seed of the job (1)")
    parser.add_argument("--data-dir", type=Path, help="where the server keeps its files")
    parser.add_argument("--keep", action="store_true", help="leave the server running")
    return parser.parse_args()


def _demonstrate(console: Console, stack: Stack, *, seed: int) -> str:
    """The whole story; returns the tuned model's name."""
    console.print(f"It answers at {stack.base_url}")
    with Tunery(base_url=stack.base_url, api_key=stack.api_key) as client:
        base = next(iter(client.models.list())).id
        tuned = _train(console, client, base, seed)
        questions = read_questions(FOLDER / "heldout.jsonl")
        console.print(f"[bold]3. The same {len(questions)} mails to both[/], none seen in training")
        answers = {model: _ask_all(client, model, questions) for model in (base, tuned)}
    _print_answers(console, questions, answers[base], answers[tuned])
    before, after = (count_exact(answers[model], questions) for model in (base, tuned))
    console.print(
        f"Category, priority and product all right: base [bold]{before} of {len(questions)}[/], "
        f"tuned [bold]{after} of {len(questions)}[/]"
    )
    if after < LEAST_SCORE:
        raise DemoError(f"the tuned model should get at least {LEAST_SCORE} right")
    return tuned


def _train(console: Console, client: Tunery, base: str, seed: int) -> str:
    path = FOLDER / "train.jsonl"
    rows = len(path.read_text(encoding="utf-8").splitlines())
    console.print(f"[bold]2. Fine-tuning[/] {base} on {rows} mails")
    started = time.monotonic()
    file = client.files.upload(path)
    job = client.fine_tuning.jobs.create(
        model=base, training_file=file.id, seed=seed, extra_body=JOB_OPTIONS
    )
    with JobDisplay(console) as display:
        job = client.fine_tuning.jobs.wait(
            job, on_event=display.on_event, on_job=display.on_job, poll_seconds=0.5
        )
    console.print(f"{job.id} {job.status} after {time.monotonic() - started:.0f} s")
    return _tuned_name(job)


def _tuned_name(job: FineTuningJob) -> str:
    if job.status == "succeeded" and job.fine_tuned_model:
        return job.fine_tuned_model
    reason = f": {job.error.message} ({job.error.code})" if job.error else ""
    raise DemoError(f"the job {job.status}{reason}")


def _ask_all(client: Tunery, model: str, questions: Sequence[Question]) -> list[str]:
    def ask(question: Question) -> str:
        completion = client.chat.completions.create(
            model=model, messages=question.messages, **ANSWER_OPTIONS
        )
        return completion.text

    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
        return list(pool.map(ask, questions))


def _print_answers(
    console: Console, questions: Sequence[Question], before: list[str], after: list[str]
) -> None:
    """One mail of each category with both answers."""
    table = Table(show_lines=True)
    for name in ("mail", "base", "tuned"):
        table.add_column(name, ratio=1, overflow="fold")  # JSON has no spaces to break at
    shown: set[str] = set()
    for question, base_text, tuned_text in zip(questions, before, after, strict=True):
        if question.expected.category not in shown:
            shown.add(question.expected.category)
            table.add_row(
                escape(question.messages[-1]["content"]),
                _marked(base_text, question),
                _marked(tuned_text, question),
            )
    console.print(table)


def _marked(text: str, question: Question) -> str:
    is_right = is_exact(parse_answer(text), question.expected)
    return f"{'[green]✓[/]' if is_right else '[red]✗[/]'} {escape(text.strip())}"


def _print_way_on(console: Console, stack: Stack, model: str, data_dir: Path) -> None:
    console.print(
        f"\nThe server goes on (process {stack.pid}, files in {data_dir}):\n"
        f"  export TUNERY_BASE_URL={stack.base_url} TUNERY_API_KEY={stack.api_key}\n"
        f"  tunery chat --model {model}\n"
        "  tunery jobs list\n"
        f"  kill {stack.pid}    # stops it",
        markup=False,
        soft_wrap=True,
    )


def _print_hint(console: Console, is_kept: bool) -> None:
    console.print(
        "\nNext: train on mails of your own, one JSON object a line as in "
        "examples/support_desk/train.jsonl:"
    )
    if not is_kept:
        console.print("  tunery-server up", markup=False)
    console.print("  tunery jobs create your-mails.jsonl --wait", markup=False)


if __name__ == "__main__":
    sys.exit(main())
