"""Variants of a base share every tensor that they do not replace, and are kept within a bound."""

import gc
import weakref

import torch

from service.core.engine_protocol import OpenSession, PartialTuning
from service.engine.parts import OverlayWeights
from service.engine.runner import BaseRunner
from service.engine.training.beginning import begin
from service.engine.variants import Variants
from tests.service.engine.real_engine import BASE, as_base, load_tiny_model

REPLACED = "model.layers.1.self_attn.q_proj.weight"


def overlay(name: str) -> OverlayWeights:
    return OverlayWeights({REPLACED: torch.zeros(48, 48)}, sha256=name)


def places(runner: BaseRunner) -> dict[str, int]:
    return {name: p.data_ptr() for name, p in runner.base.model.named_parameters()}


def test_a_variant_shares_what_it_does_not_replace_and_leaves_the_base_alone() -> None:
    runner = BaseRunner(as_base(load_tiny_model()))
    before = places(runner)

    variant = Variants(runner, 10**9).get(overlay("a"))

    own = {name for name, place in places(variant).items() if place != before[name]}
    # q, k and v of a layer are fused, so the neighbours of what was replaced are copied.
    assert own == {
        REPLACED,
        REPLACED.replace("q_proj", "k_proj"),
        REPLACED.replace("q_proj", "v_proj"),
    }
    assert places(runner) == before
    assert not variant.base.model.get_parameter(REPLACED).any()
    assert runner.base.model.get_parameter(REPLACED).any()
    assert variant.is_fused


def test_a_partial_session_owns_what_it_trains_alone() -> None:
    runner = BaseRunner(as_base(load_tiny_model()))
    tuning = PartialTuning(last_n_layers=1)
    request = OpenSession(job="ftjob-a", epoch=1, base=BASE, tuning=tuning, seed=1, key_prefix="p/")

    trained = begin(Variants(runner, 0), request, None).now.runner

    before = places(runner)
    own = {name for name, place in places(trained).items() if place != before[name]}
    assert own == {
        name for name in before if name.startswith("model.layers.1.") or name == "model.norm.weight"
    }


def test_the_same_overlay_is_one_variant_while_anybody_uses_it() -> None:
    variants = Variants(BaseRunner(as_base(load_tiny_model())), max_bytes=0)

    first = variants.get(overlay("a"))

    assert variants.get(overlay("a")) is first
    assert variants.get(overlay("b")) is not first
    assert variants.get(None) is not first


def test_variants_nobody_uses_leave_in_the_order_of_their_last_use() -> None:
    variants = Variants(BaseRunner(as_base(load_tiny_model())), max_bytes=2 * overlay("a").nbytes)
    alive = {name: weakref.ref(variants.get(overlay(name))) for name in "ab"}
    variants.get(overlay("a"))

    variants.get(overlay("c"))

    gc.collect()
    assert alive["a"]() is not None
    assert alive["b"]() is None
