"""A training session without a model: the protocol's rules, a loss that falls with the steps."""

import hashlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from safetensors.numpy import save

from service.core.engine_protocol import (
    Command,
    CommandFailed,
    Forward,
    ForwardBackward,
    ForwardDone,
    LabelExtras,
    LoraTuning,
    OpenSession,
    OptimStep,
    OptimStepDone,
    PairExtras,
    PolicyExtras,
    Report,
    Result,
    RowLoss,
    Sample,
    SampledAnswer,
    SampleDone,
    Save,
    SaveSnapshotTaken,
    SaveStored,
    StoredFile,
    TrainingRow,
    to_body,
)
from service.core.errors import Conflict, SequenceGap, ServiceError
from service.core.storage import ObjectStore

FIRST_LOSS = 3.0
"""Loss per trained token before the first step; after n steps it is FIRST_LOSS / (1 + n)."""

SAMPLED_LOGPROB = -0.5
"""Of each token that `sample` draws."""

FailureOf = Callable[[Command], ServiceError | None]


@dataclass
class FakeSession:
    """State of one session; every method is called under the fake engine's lock."""

    id: str
    request: OpenSession
    next_seq: int = 1
    steps: int = 0
    """Optimizer steps done, those before a resumption included."""
    failed: bool = False
    queue: deque[Command] = field(default_factory=deque)
    results: list[Result] = field(default_factory=list)
    is_mixed: bool = False
    """What is told of every pass, where a test wants it."""
    loss_of: Callable[["FakeSession"], float] | None = None
    """The loss of a trained token, where a test wants another."""
    executed: list[Command] = field(default_factory=list)
    """Every command that ran, in order, for tests to look at."""

    def append(self, commands: tuple[Command, ...]) -> int:
        """Drop what is known, refuse a gap, queue the rest; returns the next seq."""
        fresh = [command for command in commands if command.seq >= self.next_seq]
        expected = range(self.next_seq, self.next_seq + len(fresh))
        if [command.seq for command in fresh] != list(expected):
            got = fresh[0].seq
            raise SequenceGap(f"session {self.id} expects seq {self.next_seq}, not {got}")
        if fresh and self.failed:
            raise Conflict(f"session {self.id} has failed")
        self.queue.extend(fresh)
        self.next_seq += len(fresh)
        return self.next_seq

    def run_next(self, failure_of: FailureOf, store: ObjectStore | None) -> None:
        """Execute one queued command."""
        command = self.queue.popleft()
        self.executed.append(command)
        error = failure_of(command)
        if error is not None:
            self.results.append(CommandFailed(seq=command.seq, error=to_body(error)))
            self.failed = True
            self.queue.clear()
            return
        match command:
            case ForwardBackward() | Forward():
                self.results.append(self._measure(command))
            case OptimStep():
                self.steps += 1
                self.results.append(OptimStepDone(seq=command.seq, grad_norm=1.0, skipped=False))
            case Sample():
                self.results.append(self._sample(command))
            case Save():
                files = self._files(command)
                self.results.append(SaveSnapshotTaken(seq=command.seq))
                self.results.append(self._stored(command, files, store))

    def _measure(self, command: ForwardBackward | Forward) -> ForwardDone:
        report = command.report if isinstance(command, Forward) else ()
        return ForwardDone(
            seq=command.seq,
            rows=tuple(self._row_loss(row, report) for row in command.rows),
            tokens=sum(len(row.tokens) for row in command.rows),
            seconds=0.001,
            is_mixed=self.is_mixed,
        )

    def _row_loss(self, row: TrainingRow, report: tuple[Report, ...]) -> RowLoss:
        """A row with a pair's or a label's extras is one thing to be right about, others are
        their tokens."""
        share = self.loss_of(self) if self.loss_of else FIRST_LOSS / (1 + self.steps)
        trained = sum(weight > 0 for weight in row.weights)
        match row.extras:
            case PairExtras(is_chosen=is_chosen):
                weight, correct = float(is_chosen), int(is_chosen and self.steps > 0)
            case LabelExtras():
                weight, correct = 1.0, int(self.steps > 0)
            case _:
                weight, correct = sum(row.weights), trained * self.steps // (1 + self.steps)
        outputs = self.request.head.outputs if self.request.head else 0
        return RowLoss(
            line=row.line,
            loss=weight * share,
            weight=weight,
            correct=correct,
            trained_tokens=trained,
            metrics=self._metrics(row),
            logprobs=(-share,) * trained if "logprobs" in report else (),
            values=(float(self.steps),) * trained if "values" in report else (),
            scores=(float(len(row.tokens)),) * outputs if "scores" in report else (),
        )

    def _metrics(self, row: TrainingRow) -> dict[str, float]:
        gain = float(self.steps)
        match row.extras:
            case PairExtras(is_chosen=True):
                rewards = {"chosen_reward": gain / 2, "rejected_reward": -gain / 2}
                return {"reward_margin": gain, "margin": gain, **rewards}
            case PolicyExtras():
                names = ("kl", "old_kl", "entropy", "clip_fraction", "policy_loss", "value_loss")
                return {"ratio": 1.0, **dict.fromkeys(names, 0.1 * gain)}
            case _:
                return {}

    def _sample(self, command: Sample) -> SampleDone:
        """Answer i to a prompt is its tokens from the i-th on, around again, and a stop token."""
        stop = command.sampling.stop_token_ids[:1]
        answers = []
        for prompt in command.prompts:
            for index in range(command.n):
                at = index % len(prompt.tokens)
                turned = (*prompt.tokens[at:], *prompt.tokens[:at])
                tokens = (*turned, *stop)[: command.sampling.max_tokens]
                answers.append(
                    SampledAnswer(
                        line=prompt.line,
                        index=index,
                        tokens=tokens,
                        logprobs=(SAMPLED_LOGPROB,) * len(tokens),
                        reason="stop" if tokens[-1:] == stop else "length",
                    )
                )
        return SampleDone(seq=command.seq, answers=tuple(answers), seconds=0.001)

    def _files(self, command: Save) -> dict[str, bytes]:
        tuning = self.request.tuning
        lora = tuning if isinstance(tuning, LoraTuning) else LoraTuning()
        rank = lora.rank
        draw = np.random.default_rng(self.request.seed + self.steps)
        module = "base_model.model.model.layers.0.self_attn.q_proj"
        factors = {
            f"{module}.lora_A.weight": draw.standard_normal((rank, 8), dtype=np.float32),
            f"{module}.lora_B.weight": draw.standard_normal((8, rank), dtype=np.float32),
        }
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.request.base,
            "r": rank,
            "lora_alpha": lora.alpha,
            "lora_dropout": 0.0,
            "target_modules": ["q_proj"],
            "use_rslora": lora.use_rslora,
        }
        parts = {
            "adapter": {
                "README.md": b"# A fake adapter\n",
                "adapter_config.json": json.dumps(config).encode(),
                "adapter_model.safetensors": save(factors),
            },
            "state": {"state.safetensors": save({"steps": np.array([self.steps])})},
        }
        return {
            f"{part}/{name}": content
            for part in command.parts
            for name, content in parts[part].items()
        }

    def _stored(
        self, command: Save, files: dict[str, bytes], store: ObjectStore | None
    ) -> SaveStored:
        prefix = f"{self.request.key_prefix}{command.name}/"
        for name, content in files.items():
            if store is not None:
                store.put_bytes(prefix + name, content)
        return SaveStored(
            seq=command.seq,
            files=tuple(
                StoredFile(
                    name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
                )
                for name, content in files.items()
            ),
        )
