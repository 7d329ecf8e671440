"""An adapter is served as it was stored or not at all."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from service.core.engine_protocol import DeltaRef
from service.core.errors import (
    AdapterCorrupt,
    ServiceError,
    StorageUnavailable,
    UnsupportedParameter,
)
from service.core.storage import ObjectStore
from service.engine.adapters import AdapterDisk, AdapterStore, linear_shapes
from service.engine.export.peft_files import adapter_tensors
from service.engine.parts import AdapterWeights, DeltaWeights, LoadedBase
from tests.service.engine.adapters.builders import (
    CONFIG,
    WEIGHTS,
    AdapterShelf,
    peft_files,
    random_adapter,
    with_config,
    with_tensors,
)

_LARGE = 10**9
_SECONDS = 20

OpenStore = Callable[..., AdapterStore]


@pytest.fixture
def open_store(tiny_base: LoadedBase, shelf: AdapterShelf, tmp_path: Path) -> Iterator[OpenStore]:
    """Stores over the same disk folder, as after restarts."""
    with ExitStack() as stack:

        def open_one(
            *, store: ObjectStore = shelf.store, memory_bytes: int = _LARGE
        ) -> AdapterStore:
            adapters = AdapterStore(
                store,
                disk=AdapterDisk(tmp_path / "disk", _LARGE),
                memory_bytes=memory_bytes,
                shapes={tiny_base.digest: linear_shapes(tiny_base.model)},
            )
            stack.callback(adapters.close)
            return adapters

        yield open_one


class CountingStore(ObjectStore):
    """Counts reads and lets them through only when told to."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store._client, store.bucket)
        self.reads: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def iterate(self, key: str) -> Iterator[bytes]:
        self.gate.wait(_SECONDS)
        self.reads.append(key)
        return super().iterate(key)


def _failure(adapters: AdapterStore, ref: DeltaRef) -> ServiceError:
    error = adapters.load(ref).exception(_SECONDS)
    assert isinstance(error, ServiceError)
    assert adapters.get_loaded(ref) is None
    return error


def _load_and_close(adapters: AdapterStore, ref: DeltaRef) -> DeltaWeights:
    """Closed, it has written its disk copy."""
    weights = adapters.load(ref).result(_SECONDS)
    adapters.close()
    return weights


def _assert_equal(loaded: DeltaWeights, original: AdapterWeights) -> None:
    adapter = loaded.adapter
    assert adapter is not None
    assert adapter.scaling == original.scaling
    assert adapter.modules.keys() == original.modules.keys()
    for name, pair in original.modules.items():
        assert torch.equal(adapter.modules[name].a, pair.a)
        assert torch.equal(adapter.modules[name].b, pair.b)


def test_what_was_saved_is_loaded(shelf: AdapterShelf, open_store: OpenStore) -> None:
    weights = random_adapter(shelf.base)
    ref = shelf.put_adapter(weights)
    adapters = open_store()
    assert adapters.get_loaded(ref) is None

    loaded = adapters.load(ref).result(_SECONDS)

    _assert_equal(loaded, weights)
    assert (loaded.id, loaded.digest) == (ref.id, ref.digest)
    assert adapters.get_loaded(ref) is loaded
    assert adapters.loaded_ids() == (ref.id,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_smaller_formats_are_widened(
    dtype: torch.dtype, shelf: AdapterShelf, open_store: OpenStore
) -> None:
    weights = random_adapter(shelf.base)
    tensors = {name: tensor.to(dtype) for name, tensor in adapter_tensors(weights).items()}
    ref = shelf.put_files(with_tensors(weights, shelf.base, tensors))

    loaded = open_store().load(ref).result(_SECONDS)

    assert loaded.adapter is not None
    assert {pair.a.dtype for pair in loaded.adapter.modules.values()} == {torch.float32}


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, "manifest.json"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "longer", "missing"])
def test_damaged_objects_are_never_loaded(
    name: str, damage: str, shelf: AdapterShelf, open_store: OpenStore
) -> None:
    ref = shelf.put_adapter(random_adapter(shelf.base))
    key = f"{ref.key}/{name}"
    content = shelf.store.get_bytes(key)
    if damage == "missing":
        shelf.store.delete(key)
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        shelf.store.put_bytes(
            key, {"flipped": flipped, "truncated": content[:-1], "longer": content + b" "}[damage]
        )

    assert isinstance(_failure(open_store(), ref), AdapterCorrupt)


@pytest.mark.parametrize("digest", ["0" * 64, "../../../etc", ""])
def test_another_digest_is_refused(digest: str, shelf: AdapterShelf, open_store: OpenStore) -> None:
    ref = shelf.put_adapter(random_adapter(shelf.base))

    wrong = ref.model_copy(update={"digest": digest})

    assert isinstance(_failure(open_store(), wrong), AdapterCorrupt)


def test_pickled_weights_are_not_read(shelf: AdapterShelf, open_store: OpenStore) -> None:
    files = peft_files(random_adapter(shelf.base), shelf.base)
    ref = shelf.put_files({CONFIG: files[CONFIG], "adapter_model.bin": files[WEIGHTS]})
    counting = CountingStore(shelf.store)

    assert isinstance(_failure(open_store(store=counting), ref), AdapterCorrupt)
    assert not any(key.endswith(".bin") for key in counting.reads)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: {n: v.double() for n, v in t.items()}, id="foreign dtype"),
        pytest.param(lambda t: {n: v[:, :-1].clone() for n, v in t.items()}, id="shape"),
        pytest.param(lambda t: dict(list(t.items())[1:]), id="one factor"),
        pytest.param(lambda t: {n.replace("q_proj", "z_proj"): v for n, v in t.items()}, id="name"),
        pytest.param(lambda t: {**t, "extra": torch.zeros(1)}, id="no factor"),
        pytest.param(lambda _: {}, id="nothing"),
    ],
)
def test_tensors_that_do_not_fit_are_corrupt_in_spite_of_a_true_manifest(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    shelf: AdapterShelf,
    open_store: OpenStore,
) -> None:
    weights = random_adapter(shelf.base)
    tensors = change(adapter_tensors(weights))
    ref = shelf.put_files(with_tensors(weights, shelf.base, tensors))

    assert isinstance(_failure(open_store(), ref), AdapterCorrupt)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_numbers_that_are_not_finite_never_reach_the_batch(
    poison: float, dtype: torch.dtype, shelf: AdapterShelf, open_store: OpenStore
) -> None:
    weights = random_adapter(shelf.base)
    tensors = {name: tensor.to(dtype) for name, tensor in adapter_tensors(weights).items()}
    next(reversed(tensors.values()))[-1, -1] = poison
    ref = shelf.put_files(with_tensors(weights, shelf.base, tensors))

    assert isinstance(_failure(open_store(), ref), AdapterCorrupt)


def test_a_huge_header_is_corrupt(shelf: AdapterShelf, open_store: OpenStore) -> None:
    files = peft_files(random_adapter(shelf.base), shelf.base)
    huge = (2**62).to_bytes(8, "little") + files[WEIGHTS][8:]

    ref = shelf.put_files({**files, WEIGHTS: huge})

    assert isinstance(_failure(open_store(), ref), AdapterCorrupt)


def test_a_rank_that_the_weights_do_not_have_is_corrupt(
    shelf: AdapterShelf, open_store: OpenStore
) -> None:
    files = peft_files(random_adapter(shelf.base), shelf.base)

    ref = shelf.put_files(with_config(files, r=8))

    assert isinstance(_failure(open_store(), ref), AdapterCorrupt)


def test_an_adapter_of_another_base_is_refused(shelf: AdapterShelf, open_store: OpenStore) -> None:
    files = peft_files(random_adapter(shelf.base), shelf.base)

    ref = shelf.put_files(files, base_digest="1" * 64)

    assert isinstance(_failure(open_store(), ref), AdapterCorrupt)


def test_what_is_not_served_is_refused_by_name(shelf: AdapterShelf, open_store: OpenStore) -> None:
    files = peft_files(random_adapter(shelf.base), shelf.base)
    adapters = open_store()

    biased = _failure(adapters, shelf.put_files(with_config(files, lora_bias=True)))
    state = _failure(adapters, shelf.put_files(files, kind="state"))

    assert isinstance(biased, UnsupportedParameter)
    assert biased.param == "lora_bias"
    assert isinstance(state, UnsupportedParameter)


def test_those_who_ask_at_once_share_one_load(shelf: AdapterShelf, open_store: OpenStore) -> None:
    ref = shelf.put_adapter(random_adapter(shelf.base))
    counting = CountingStore(shelf.store)
    counting.gate.clear()
    adapters = open_store(store=counting)

    futures = [adapters.load(ref) for _ in range(20)]
    assert not futures[0].cancel()
    counting.gate.set()

    assert len({id(future.result(_SECONDS)) for future in futures}) == 1
    assert len(counting.reads) == 3  # manifest, configuration, weights


def test_a_restart_reads_the_disk_and_asks_nobody(
    shelf: AdapterShelf, open_store: OpenStore
) -> None:
    weights = random_adapter(shelf.base)
    ref = shelf.put_adapter(weights)
    _load_and_close(open_store(), ref)
    counting = CountingStore(shelf.store)

    loaded = open_store(store=counting).load(ref).result(_SECONDS)

    _assert_equal(loaded, weights)
    assert counting.reads == []


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, "manifest.json"])
def test_a_damaged_disk_copy_heals_from_the_object_store(
    name: str, shelf: AdapterShelf, open_store: OpenStore, tmp_path: Path
) -> None:
    weights = random_adapter(shelf.base)
    ref = shelf.put_adapter(weights)
    _load_and_close(open_store(), ref)
    copy = tmp_path / "disk" / ref.digest / name
    whole = copy.read_bytes()
    copy.write_bytes(whole[:-1])

    _assert_equal(_load_and_close(open_store(), ref), weights)
    assert copy.read_bytes() == whole


def test_an_evicted_adapter_comes_back(shelf: AdapterShelf, open_store: OpenStore) -> None:
    weights = [random_adapter(shelf.base, seed=seed) for seed in range(3)]
    refs = [shelf.put_adapter(one) for one in weights]
    adapters = open_store(memory_bytes=2 * weights[0].nbytes)
    for ref in refs:
        adapters.load(ref).result(_SECONDS)
    assert adapters.get_loaded(refs[0]) is None
    assert adapters.loaded_ids() == (refs[2].id, refs[1].id)

    _assert_equal(adapters.load(refs[0]).result(_SECONDS), weights[0])
    assert adapters.loaded_ids() == (refs[0].id, refs[2].id)


def test_pinned_adapters_stay_in_memory(shelf: AdapterShelf, open_store: OpenStore) -> None:
    weights = [random_adapter(shelf.base, seed=seed) for seed in range(2)]
    pinned, other = (shelf.put_adapter(one) for one in weights)
    adapters = open_store(memory_bytes=weights[0].nbytes)
    adapters.pin(pinned)
    adapters.load(pinned).result(_SECONDS)

    adapters.load(other).result(_SECONDS)
    assert adapters.loaded_ids() == (pinned.id,)

    adapters.unpin(pinned)
    adapters.load(other).result(_SECONDS)
    assert adapters.loaded_ids() == (other.id,)


def test_a_store_that_is_away_says_so_and_is_asked_again(
    shelf: AdapterShelf, open_store: OpenStore
) -> None:
    weights = random_adapter(shelf.base)
    ref = shelf.put_adapter(weights)
    away = AwayStore(shelf.store)
    adapters = open_store(store=away)

    assert isinstance(_failure(adapters, ref), StorageUnavailable)

    away.is_away = False
    _assert_equal(adapters.load(ref).result(_SECONDS), weights)


class AwayStore(ObjectStore):
    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store._client, store.bucket)
        self.is_away = True

    def iterate(self, key: str) -> Iterator[bytes]:
        if self.is_away:
            raise StorageUnavailable("away")
        return super().iterate(key)


def test_closing_ends_every_load(shelf: AdapterShelf, open_store: OpenStore) -> None:
    refs = [shelf.put_adapter(random_adapter(shelf.base, seed=seed)) for seed in range(8)]
    adapters = open_store()
    futures = [adapters.load(ref) for ref in refs]

    adapters.close()

    assert all(future.done() for future in futures)
