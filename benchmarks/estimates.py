"""How often a job's real time and memory fall within the bounds that its estimate has given.

usage: python -m benchmarks.estimates [--jobs 30] [--warm-up 5] [--rows 24] [--seed 1]
       [--data-dir FOLDER] [--out estimates.json]

Starts a stack of its own, lets the engine measure itself, then runs jobs over all kinds of tuning,
several methods and lengths of rows, one after the other. Each is estimated first. Its time is that
from `running` to `succeeded`; its memory the highest of the engine's process (`VmHWM`, reset
before), which is what an engine on the CPU tells, and left out on other devices. The first jobs
(`--warm-up`) are run and not counted: what a session waits for is learned from jobs alone.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.stack import RunningStack, running_stack

_WORDS = tuple("the red fox saw a tall ship leave port under grey clouds while owls slept".split())  # noqa: SIM905
_POLL_SECONDS = 0.05
_CALIBRATION_SECONDS = 900
_BASE = "smollm2-135m-instruct"
_LABELS = ("fox", "owl", "whale")

Body = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """One job: what was said of it, and what it took."""

    name: str
    steps: int
    tokens: int
    seconds: float
    seconds_low: float
    seconds_said: float
    seconds_high: float
    peak_bytes: int
    peak_low: int
    peak_said: int
    peak_high: int
    confident: bool
    exact: bool
    """Whether tokens and steps were those of the job."""

    @property
    def holds_time(self) -> bool:
        return self.seconds_low <= self.seconds <= self.seconds_high

    @property
    def holds_memory(self) -> bool:
        return not self.peak_bytes or self.peak_low <= self.peak_bytes <= self.peak_high


class Api:
    """A running stack, from outside."""

    def __init__(self, stack: RunningStack) -> None:
        connection = stack.connection
        self._http = httpx2.Client(
            base_url=connection["base_url"],
            headers={"Authorization": f"Bearer {connection['api_key']}"},
            timeout=120,
        )
        self.engine_pid: int = stack.components()["engine"].pid

    def post(self, path: str, body: Body) -> Body:
        answer = self._http.post(path, json=body)
        if answer.is_error:
            raise SystemExit(f"{path} answers {answer.status_code}: {answer.text}")
        found: Body = answer.json()
        return found

    def get(self, path: str) -> Body:
        found: Body = self._http.get(path).raise_for_status().json()
        return found

    def upload(self, rows: Sequence[Body]) -> str:
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        answer = self._http.post(
            "files", files={"file": ("rows.jsonl", content)}, data={"purpose": "fine-tune"}
        )
        return str(answer.raise_for_status().json()["id"])

    def reset_peak(self) -> None:
        Path(f"/proc/{self.engine_pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        for line in Path(f"/proc/{self.engine_pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        data_dir = arguments.data_dir or Path(folder) / "data"
        with running_stack(data_dir) as stack:
            api = Api(stack)
            _wait_for_calibration(api)
            outcomes = list(_run_all(api, arguments))
    counted = outcomes[arguments.warm_up :]
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(outcome) for outcome in counted], indent=1))
    _summarise(counted)


def _run_all(api: Api, arguments: argparse.Namespace) -> Iterator[Outcome]:
    random_ = random.Random(arguments.seed)
    for number in range(arguments.warm_up + arguments.jobs):
        name, body, rows = _job(number, random_, arguments.rows)
        outcome = _run(api, name, body, rows)
        counted = "" if number >= arguments.warm_up else " (warm-up)"
        _say(_line(outcome) + counted)
        yield outcome


def _run(api: Api, name: str, body: Body, rows: Sequence[Body]) -> Outcome:
    asked = {**body, "training_file": api.upload(rows)}
    told = api.post("fine_tuning/estimate", asked)
    api.reset_peak()
    job = api.post("fine_tuning/jobs", asked)
    path = f"fine_tuning/jobs/{job['id']}"
    _wait(api, path, lambda found: found["status"] not in ("validating_files", "queued"))
    started = time.perf_counter()
    job = _wait(api, path, lambda found: found["status"] in ("succeeded", "failed", "cancelled"))
    seconds = time.perf_counter() - started
    if job["status"] != "succeeded":
        raise SystemExit(f"{name} has {job['status']}: {job['error']}")
    is_cpu = told["calibration"]["device"].startswith("cpu")
    memory = told["peak_memory_bytes"] or {"value": 0, "low": 0, "high": 0}
    return Outcome(
        name=name,
        steps=told["steps"]["value"],
        tokens=told["trained_tokens"]["value"],
        seconds=seconds,
        seconds_low=told["seconds"]["low"],
        seconds_said=told["seconds"]["value"],
        seconds_high=told["seconds"]["high"],
        peak_bytes=api.peak() if is_cpu and memory["value"] else 0,
        peak_low=memory["low"],
        peak_said=memory["value"],
        peak_high=memory["high"],
        confident=told["confident"],
        exact=told["trained_tokens"]["value"] == job["trained_tokens"],
    )


def _wait(api: Api, path: str, is_there: Callable[[Body], bool]) -> Body:
    while not is_there(found := api.get(path)):
        time.sleep(_POLL_SECONDS)
    return found


def _wait_for_calibration(api: Api) -> None:
    random_ = random.Random(0)
    rows = [_chat(random_, 10) for _ in range(10)]
    labelled = [{"text": f"{n}", "label": _LABELS[n % 2]} for n in range(10)]
    deadline = time.monotonic() + _CALIBRATION_SECONDS
    for body in (_with(rows, "lora"), _with(labelled, "head")):  # the first and the last of them
        while api.post("fine_tuning/estimate", body)["seconds"] is None:
            if time.monotonic() > deadline:
                raise SystemExit("the engine has not measured itself in a quarter of an hour")
            time.sleep(1)
    _say("the engine has measured itself")


def _with(rows: Sequence[Body], tuning: str) -> Body:
    method = "classification" if tuning == "head" else "supervised"
    return {"model": _BASE, "rows": rows, "tuning": {"type": tuning}, "method": {"type": method}}


def _job(number: int, random_: random.Random, most_rows: int) -> tuple[str, Body, list[Body]]:
    """Kinds take turns; sizes are drawn."""
    kinds = (_lora, _partial, _head, _preference, _text, _full, _labelled_lora)
    words = random_.choice((8, 30, 90))
    rows = random_.randint(max(10, most_rows // 2), most_rows)
    name, options, make = kinds[number % len(kinds)](random_)
    method = options.pop("method", "supervised")
    body = {
        "model": _BASE,
        "method": {
            "type": method,
            method: {"hyperparameters": {"n_epochs": random_.choice((1, 2, 3)), "batch_size": 4}},
        },
        **options,
    }
    return f"{name}, {words} words", body, [make(random_, words) for _ in range(rows)]


Kind = tuple[str, Body, Callable[[random.Random, int], Body]]


def _lora(random_: random.Random) -> Kind:
    rank = random_.choice((4, 8, 16, 32, 64))
    return f"supervised lora {rank}", {"tuning": {"type": "lora", "rank": rank}}, _chat


def _partial(random_: random.Random) -> Kind:
    layers = random_.choice((1, 3, 6))
    tuning = {"type": "partial", "last_n_layers": layers}
    return f"supervised partial {layers}", {"tuning": tuning}, _chat


def _full(_random: random.Random) -> Kind:
    return "supervised full", {"tuning": {"type": "full"}}, _chat


def _head(_random: random.Random) -> Kind:
    options = {"tuning": {"type": "head"}, "method": "classification"}
    return "classification head", options, _labelled


def _labelled_lora(random_: random.Random) -> Kind:
    rank = random_.choice((8, 16))
    options = {"tuning": {"type": "lora", "rank": rank}, "method": "classification"}
    return f"classification lora {rank}", options, _labelled


def _preference(random_: random.Random) -> Kind:
    rank = random_.choice((8, 32))
    return f"dpo lora {rank}", {"tuning": {"type": "lora", "rank": rank}, "method": "dpo"}, _pair


def _text(random_: random.Random) -> Kind:
    rank = random_.choice((8, 32))
    options = {"tuning": {"type": "lora", "rank": rank}, "method": "unsupervised"}
    return f"unsupervised lora {rank}", options, lambda r, n: {"text": _words(r, 3 * n)}


def _chat(random_: random.Random, words: int) -> Body:
    return {
        "messages": [
            {"role": "user", "content": _words(random_, words)},
            {"role": "assistant", "content": _words(random_, words)},
        ]
    }


def _pair(random_: random.Random, words: int) -> Body:
    return {
        "input": {"messages": [{"role": "user", "content": _words(random_, words)}]},
        "preferred_output": [{"role": "assistant", "content": _words(random_, words)}],
        "non_preferred_output": [{"role": "assistant", "content": _words(random_, words)}],
    }


def _labelled(random_: random.Random, words: int) -> Body:
    return {"text": _words(random_, words), "label": random_.choice(_LABELS)}


def _words(random_: random.Random, count: int) -> str:
    return " ".join(
        random_.choice(_WORDS) for _ in range(random_.randint(max(1, count // 2), count))
    )


def _line(outcome: Outcome) -> str:
    time_, memory = (
        "holds" if holds else "FAILS" for holds in (outcome.holds_time, outcome.holds_memory)
    )
    sure = "" if outcome.confident else ", not confident"
    return (
        f"{outcome.name}: {outcome.seconds:.1f} s, said {outcome.seconds_low:.1f} to "
        f"{outcome.seconds_high:.1f} {time_}; {outcome.peak_bytes / 1e6:.0f} MB, said "
        f"{outcome.peak_low / 1e6:.0f} to {outcome.peak_high / 1e6:.0f} {memory}"
        f"{'' if outcome.exact else '; tokens DIFFER'}{sure}"
    )


def _summarise(outcomes: Sequence[Outcome]) -> None:
    count = max(1, len(outcomes))
    for name, holds in (
        ("time", [outcome.holds_time for outcome in outcomes]),
        ("memory", [outcome.holds_memory for outcome in outcomes]),
        ("tokens exact", [outcome.exact for outcome in outcomes]),
        ("confident", [outcome.confident for outcome in outcomes]),
    ):
        _say(f"{name}: {sum(holds)} of {len(outcomes)} ({sum(holds) / count:.0%})")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--warm-up", type=int, default=5, help="jobs that are not counted")
    parser.add_argument("--rows", type=int, default=24, help="most rows of a job")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=None)
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
