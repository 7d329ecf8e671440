"""What the preview shows of a file is what the report counts and what the engine is sent, by every
method: the same tokens, weights and lines, cut in the same places."""

import json
from collections import defaultdict
from typing import Any

import pytest

from service.api.chat.codecs import CodecCache
from service.api.previews.schemas import CreatePreview, Preview
from service.api.previews.service import PreviewService
from service.core.datasets import Report, RowKind
from service.core.domain.access import Principal
from service.core.domain.jobs import JobStatus
from service.core.domain.methods import (
    ClassificationMethod,
    DpoMethod,
    Method,
    ReinforcementMethod,
    RewardModelMethod,
    RlhfMethod,
    SupervisedMethod,
    UnsupervisedMethod,
)
from service.core.engine_protocol import Command, ForwardBackward, Sample
from service.core.errors import EngineUnavailable, ServiceError
from service.core.hyperparameters import Hyperparameters
from tests.fakes.engine import FakeEngine
from tests.jobs.runner.test_file_report import ask, work
from tests.jobs.runner.test_methods import GRADER, LABELLED, PAIRS, PROMPTS, TEXTS
from tests.jobs.shop import BASE, GOOD_LINES, Shop, chat_line

Sequences = dict[int, list[tuple[tuple[int, ...], tuple[float, ...]]]]
"""Tokens and weights by line, sorted."""

LONG = "A red fox sleeps in the sun. " * 4
TURNS = json.dumps(
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "Never learned.", "weight": 0},
            {"role": "user", "content": "<|im_end|> is no end"},
            {"role": "assistant", "content": "Two."},
        ]
    }
)
CHATS = (*GOOD_LINES, TURNS, chat_line("Tell me.", LONG))
COMPLETIONS = [json.dumps({"prompt": f"{n} + 1 =", "completion": f" {n + 1}"}) for n in range(12)]
LABELLED_CHATS = [
    json.dumps({"messages": [{"role": "user", "content": f"is it {n}"}], "label": "yn"[n % 2]})
    for n in range(12)
]
LONG_PAIR = json.dumps(
    {
        "input": {"messages": [{"role": "user", "content": "Go on."}]},
        "preferred_output": [{"role": "assistant", "content": LONG}],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    }
)
LONG_PROMPT = json.dumps({"messages": [{"role": "user", "content": LONG}], "right": "x"})
CUT = {"max_seq_length": 110, "over_length": "truncate"}
SKIPPED = CUT | {"over_length": "skip"}
CASES: dict[str, tuple[Method, list[str], dict[str, Any]]] = {
    "supervised": (SupervisedMethod(), [*CHATS], {}),
    "supervised, cut": (SupervisedMethod(), [*CHATS], CUT),
    "supervised, skipped": (SupervisedMethod(), [*CHATS], SKIPPED),
    "supervised, packed": (SupervisedMethod(), [*CHATS], {"packing": True, **CUT}),
    "prompt and completion": (SupervisedMethod(), COMPLETIONS, {}),
    "unsupervised": (UnsupervisedMethod(), [*TEXTS, json.dumps({"text": LONG * 20})], {}),
    "unsupervised, in pieces": (UnsupervisedMethod(), TEXTS, {"max_seq_length": 32}),
    "unsupervised, not packed": (UnsupervisedMethod(), TEXTS, {"packing": False}),
    "classification": (
        ClassificationMethod(),
        [*LABELLED, json.dumps({"text": LONG, "label": "fox"})],
        CUT,
    ),
    "classification of chats": (ClassificationMethod(), LABELLED_CHATS, {}),
    "dpo": (DpoMethod(), [*PAIRS, LONG_PAIR], {}),
    "dpo, cut": (DpoMethod(), [*PAIRS, LONG_PAIR], CUT),
    "reward_model": (RewardModelMethod(), [*PAIRS, LONG_PAIR], CUT),
    "reinforcement": (
        ReinforcementMethod(grader=GRADER, samples_per_prompt=2, max_completion_tokens=4),
        [*PROMPTS, LONG_PROMPT],
        CUT,
    ),
    "rlhf": (RlhfMethod(reward_model="ft:score", rollout_batch_size=32), [*PROMPTS], {}),
}


class Recorder:
    """Ends an attempt once its rows have been sent, so that no reward model is asked."""

    def __init__(self, engine: FakeEngine, *, last: type[Command] | None) -> None:
        self.commands: list[Command] = []
        self._last = last
        engine.fail_commands(self._note)

    def _note(self, command: Command) -> ServiceError | None:
        self.commands.append(command)
        is_last = self._last is not None and isinstance(command, self._last)
        return EngineUnavailable("all was heard") if is_last else None

    def sent(self) -> Sequences:
        """Of the steps, or the prompts that were drawn for: with no weight."""
        found: Sequences = defaultdict(list)
        drawn = [command for command in self.commands if isinstance(command, Sample)]
        for sample in drawn:
            for prompt in sample.prompts:
                found[prompt.line].append((prompt.tokens, (0.0,) * len(prompt.tokens)))
        for step in self.commands if not drawn else ():
            if isinstance(step, ForwardBackward):
                for row in step.rows:
                    found[row.line].append((row.tokens, row.weights))
        return {line: sorted(sequences) for line, sequences in found.items()}


def previewed(shop: Shop, file_id: str, method: str, limits: dict[str, Any]) -> Preview:
    resources = shop.resources
    codecs = CodecCache(resources.store, resources.settings.cache_dir)
    service = PreviewService(shop.database, resources.store, codecs)
    asked = {"model": BASE, "training_file": file_id, "method": {"type": method}, "limit": 20}
    request = CreatePreview.model_validate(asked | limits)
    return service.preview(Principal(shop.scope, "key"), request)


def shown(preview: Preview) -> Sequences:
    found: Sequences = defaultdict(list)
    for row in preview.rows:
        for sequence in row.sequences:
            found[row.line].append((tuple(sequence.token_ids), tuple(sequence.weights)))
    return {line: sorted(sequences) for line, sequences in found.items()}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Method, list[str], dict[str, Any]]:
    found: tuple[Method, list[str], dict[str, Any]] = request.param
    return found


def test_preview_report_and_engine_see_the_same(
    shop: Shop, engine: FakeEngine, case: tuple[Method, list[str], dict[str, Any]]
) -> None:
    method, lines, asked = case
    heard = Recorder(engine, last=Sample if isinstance(method, RlhfMethod) else None)
    limits = {name: asked[name] for name in ("max_seq_length", "over_length") if name in asked}
    numbers = Hyperparameters(batch_size=4, n_epochs=1, **asked)
    job_id = shop.create_job(lines, method=method, hyperparameters=numbers)
    file_id = shop.job(job_id).training_file

    preview = previewed(shop, file_id, method.type, limits)
    kind = RowKind.of_method(method.type)
    operation = work(shop, ask(shop, file_id, kind=kind, hyperparameters=limits))
    validated = shop.validate(job_id)
    shop.train()

    assert validated.status is JobStatus.QUEUED, validated.error
    assert heard.sent() == shown(preview)
    facts = validated.facts
    assert facts is not None
    sequences = [s for row in preview.rows for s in row.sequences]
    assert facts.tokens == sum(s.num_tokens for s in sequences)
    assert operation.result is not None
    report = Report.from_json(operation.result["report"])
    assert (report.tokens, report.usable_rows) == (facts.tokens, len(preview.rows))
    assert report.trained_tokens == sum(s.num_trained_tokens for s in sequences)
    told = [
        finding
        for event in shop.events(job_id)
        if event.data.get("code") == "rows_examined"
        for finding in event.data["findings"]  # type: ignore[attr-defined]
    ]
    assert [(f["line"], f["code"]) for f in told] == [(f.line, f.code) for f in preview.findings]
    assert [(f.line, f.code) for f in report.kept] == [(f.line, f.code) for f in preview.findings]
