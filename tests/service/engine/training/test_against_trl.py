"""A few steps are those of TRL's own trainers: losses, gradient norms and weights.

TRL says of each step's loss four digits or so; the weights after it are compared whole.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from service.core.engine_protocol import (
    BradleyTerry,
    CrossEntropy,
    Dpo,
    ForwardDone,
    HeadSpec,
    LoraTuning,
    Loss,
    OptimStepDone,
    PairExtras,
    TrainingRow,
)
from tests.fakes.adapters import FakeAdapterSink
from tests.oracles.venv import OracleMissing, oracle_python
from tests.service.engine.real_engine import running_engine
from tests.service.engine.training_session import Job
from tests.tiny_base import build_tiny_base

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).parents[3] / "oracles" / "trl_steps.py"
STEPS, RATE, BETA = 4, 5e-3, 0.3
PAD = 2
TEXTS = (
    ("A bird sat on ", "the old gate.", "nothing at all"),
    ("Rain fell all ", "day", "over the hills and far away"),
    ("Seven and eight ", "make fifteen", "make six"),
    ("Nobody knew ", "why.", "whose coat it was, or when it came"),
)


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return oracle_python()
    except OracleMissing as missing:
        pytest.skip(str(missing))


@dataclass(frozen=True)
class TrlRun:
    """What TRL made of it."""

    rows: list[dict[str, Any]]
    losses: list[float]
    norms: list[float]
    final: dict[str, torch.Tensor]


class Steps:
    """The engine's steps, and TRL's on the same weights."""

    def __init__(self, python: Path, folder: Path, head: HeadSpec | None = None) -> None:
        self._python = python
        self._folder = folder
        self._sink = FakeAdapterSink()
        self._running = running_engine(sink=self._sink)
        self.job = Job(self._running.__enter__(), tuning=LoraTuning(rank=4, alpha=8), head=head)
        self._start = self.job.save(0)
        self.job.finish()

    def close(self) -> None:
        self._running.__exit__(None, None, None)

    def trl(self, method: str, rows: Sequence[dict[str, Any]]) -> TrlRun:
        adapter = self._folder / "adapter"
        adapter.mkdir()
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (adapter / name).write_bytes(self._sink.files[f"{self._start}adapter/{name}"])
        spec = {
            "method": method,
            "model": str(build_tiny_base(self._folder / "model")),
            "adapter": str(adapter),
            "steps": STEPS,
            "learning_rate": RATE,
            "beta": BETA,
            "pad": PAD,
            "rows": list(rows),
            "out": str(self._folder),
        }
        (self._folder / "spec.json").write_text(json.dumps(spec))
        done = subprocess.run(
            [str(self._python), str(SCRIPT), str(self._folder / "spec.json")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        report = json.loads((self._folder / "report.json").read_text())
        return TrlRun(**report, final=load_file(self._folder / "final.safetensors"))

    def ours(self, rows: Sequence[TrainingRow], loss: Loss, normalizer: float) -> None:
        """Train, and leave the results to `compare`."""
        for step in range(1, STEPS + 1):
            self.job.forward_backward(rows, step=step, loss=loss, normalizer=normalizer)
            self.job.optimize(step=step, learning_rate=RATE)
        self._final = self.job.save(STEPS)
        self._normalizer = normalizer
        self.job.finish()

    def compare(self, expected: TrlRun) -> None:
        results = self.job.results
        sums = [sum(r.loss for r in x.rows) for x in results if isinstance(x, ForwardDone)]
        losses = [total / self._normalizer for total in sums[-STEPS:]]
        norms = [x.grad_norm for x in results if isinstance(x, OptimStepDone)]
        assert losses == pytest.approx(expected.losses, rel=1e-4, abs=1e-4)
        assert norms == pytest.approx(expected.norms, rel=1e-3, abs=1e-4)
        adapter = self._sink.adapters[self._final]
        for name, pair in adapter.modules.items():
            for factor, got in (("A", pair.a), ("B", pair.b)):
                trained = expected.final[f"base_model.model.{name}.lora_{factor}.weight"]
                torch.testing.assert_close(got, trained, rtol=1e-3, atol=1e-4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_sft(python: Path, folder: Path) -> None:
    steps = Steps(python, folder)
    given = [{"prompt": prompt, "completion": better} for prompt, better, _ in TEXTS]
    expected = steps.trl("sft", given)
    rows = [
        TrainingRow(
            line=line,
            group=line,
            tokens=tuple(row["input_ids"]),
            weights=tuple(float(label != -100) for label in row["labels"]),
        )
        for line, row in enumerate(expected.rows, start=1)
    ]

    steps.ours(rows, CrossEntropy(), sum(sum(row.weights) for row in rows))

    steps.compare(expected)
    steps.close()


def test_dpo(python: Path, folder: Path) -> None:
    steps = Steps(python, folder)
    given = [{"prompt": p, "chosen": better, "rejected": worse} for p, better, worse in TEXTS]
    expected = steps.trl("dpo", given)
    plain = [
        TrainingRow(
            line=2 * group + side,
            group=group,
            tokens=(*row["prompt_ids"], *row[name]),
            weights=(0.0,) * len(row["prompt_ids"]) + (1.0,) * len(row[name]),
        )
        for group, row in enumerate(expected.rows)
        for side, name in enumerate(("chosen_ids", "rejected_ids"))
    ]
    steps.job.forward(plain, at_start=True)
    measured = steps.job.finish()[-1]
    assert isinstance(measured, ForwardDone)
    rows = [
        row.model_copy(
            update={"extras": PairExtras(is_chosen=row.line % 2 == 0, reference=-found.loss)}
        )
        for row, found in zip(plain, measured.rows, strict=True)
    ]

    steps.ours(rows, Dpo(beta=BETA), len(TEXTS))

    steps.compare(expected)
    steps.close()


def test_reward(python: Path, folder: Path) -> None:
    steps = Steps(python, folder, HeadSpec(kind="reward"))
    given = [
        {name: [3 + ord(c) % 200 for c in prompt + text] for name, text in pair.items()}
        for prompt, better, worse in TEXTS
        for pair in [{"chosen_ids": better, "rejected_ids": worse}]
    ]
    expected = steps.trl("reward", given)
    rows = [
        TrainingRow(
            line=2 * group + side,
            group=group,
            tokens=tuple(row[name]),
            weights=(0.0,) * len(row[name]),
            extras=PairExtras(is_chosen=side == 0),
        )
        for group, row in enumerate(given)
        for side, name in enumerate(("chosen_ids", "rejected_ids"))
    ]

    steps.ours(rows, BradleyTerry(), len(TEXTS))

    steps.compare(expected)
    steps.close()
