"""The real engine over the tiny base, in this process. Imports torch."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from service.core.text import TextAssets
from service.engine.calibration import CalibrationBook
from service.engine.embedding import LoadedEmbedder
from service.engine.parts import (
    AdapterSink,
    AdapterSource,
    EngineIdentity,
    EngineLimits,
    LoadedBase,
)
from service.engine.scheduler import Engine
from tests.fakes.adapters import FakeAdapterSink, FakeAdapterSource
from tests.tiny_base import CONTEXT_LENGTH, build_tiny_base

BASE = "tiny"
LIMITS = EngineLimits(
    micro_batch_tokens=64,
    merged_tokens=256,
    streaming_merged_tokens=64,
    prefill_chunk_tokens=64,
    kv_cache_tokens=4096,
)


def load_tiny_model(*, seed: int = 0) -> PreTrainedModel:
    """A fresh copy of the model, as transformers computes it."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        _tiny_base_folder(seed), dtype=torch.float32
    )
    model.requires_grad_(False)
    model.eval()
    return model


@cache
def tiny_text() -> TextAssets:
    """Its tokenizer, which does not depend on the seed."""
    return TextAssets.from_pretrained_folder(_tiny_base_folder(0))


@cache
def _tiny_base_folder(seed: int) -> Path:
    return build_tiny_base(Path(tempfile.mkdtemp(prefix="tiny-base-")), seed=seed)


def as_base(model: PreTrainedModel, *, name: str = BASE) -> LoadedBase:
    return LoadedBase(
        name=name,
        digest="b" * 64,
        text_key=f"bases/{'b' * 64}/text.json",
        dtype=model.dtype,
        device=torch.device("cpu"),
        context_length=CONTEXT_LENGTH,
        model=model,
        text=tiny_text(),
    )


@contextmanager
def running_engine(
    *,
    limits: EngineLimits = LIMITS,
    source: AdapterSource | None = None,
    sink: AdapterSink | None = None,
    model: PreTrainedModel | None = None,
    embedders: Sequence[LoadedEmbedder] = (),
    may_fail: bool = False,
    books: Mapping[str, CalibrationBook] | None = None,
) -> Iterator[Engine]:
    identity = EngineIdentity(id="engine-0", url="http://127.0.0.1:1", pool="default")
    engine = Engine(
        [as_base(model or load_tiny_model())],
        source or FakeAdapterSource(),
        sink or FakeAdapterSink(),
        limits,
        identity,
        embedders,
        books=books,
    )
    engine.start()
    try:
        yield engine
    finally:
        engine.close()
        assert may_fail or engine.failed is None
