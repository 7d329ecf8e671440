"""A tiny base whose every part can be exported, and what is served on it."""

import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import torch

from service.core.engine_protocol import (
    DeltaRef,
    Dialogue,
    ExportFormat,
    ExportRequest,
    ModelRef,
)
from service.core.settings import Settings
from service.core.text import TextCodec
from service.engine.bases import load_base
from service.engine.export.reference import Reference
from service.engine.parts import AdapterWeights, LoadedBase
from service.engine.probing import Arithmetic, LogitQueue, LogitRows
from service.engine.runner import BaseRunner
from tests.tiny_base import build_tiny_base

_MERGES = [["Ġ", "Ġ"], ["t", "h"], ["th", "e"]]
QUESTIONS = ("the other day", "Hello there.", "What is  2 + 2?")


def build_exportable_base(folder: Path) -> Path:
    """The tiny base, whose last tokens are merges of others, and which splits text as GPT-2: a
    GGUF file needs both."""
    build_tiny_base(folder)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokens = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    tokens[-len(_MERGES) :] = ["".join(pair) for pair in _MERGES]
    tokenizer["model"]["vocab"] = {token: i for i, token in enumerate(tokens)}
    tokenizer["model"]["merges"] = _MERGES
    tokenizer["pre_tokenizer"]["use_regex"] = True
    path.write_text(json.dumps(tokenizer))
    return folder


def load(folder: Path) -> LoadedBase:
    return load_base("tiny", str(folder), Settings(engine_dtype="float32", engine_device="cpu"))


def request_of(base: LoadedBase, ref: DeltaRef, format: ExportFormat) -> ExportRequest:
    assert base.text is not None
    codec = TextCodec(base.text)
    asked = [({"role": "user", "content": question},) for question in QUESTIONS]
    return ExportRequest(
        id=f"export-{uuid4()}",
        model=ModelRef(base=base.name, delta=ref),
        format=format,
        key=f"test-exports/{uuid4()}",
        dialogues=tuple(
            Dialogue(messages=messages, tokens=tuple(codec.encode_chat_prompt(messages)))
            for messages in asked
        ),
        end_tokens=codec.stop_token_ids,
    )


def reference_of(
    runner: BaseRunner, weights: AdapterWeights, rows: Sequence[Sequence[int]]
) -> Reference:
    """What the step loop would compute."""
    served, base = (
        logits(runner, weights, rows, arithmetic)
        for arithmetic in (Arithmetic.SERVED, Arithmetic.BASE)
    )
    return Reference(weights, served, base)


def logits(
    runner: BaseRunner,
    weights: AdapterWeights,
    rows: Sequence[Sequence[int]],
    arithmetic: Arithmetic,
) -> torch.Tensor:
    queue, item = LogitQueue(), LogitRows(runner, rows, weights, arithmetic)
    queue.add(item)
    while queue.has_work:
        queue.step()
    return item.done.result()
