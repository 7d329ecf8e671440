"""RAM stays within its bound, pinned adapters stay in RAM."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from service.core.engine_protocol import DeltaRef, LoraTuning
from service.engine.adapters.memory import AdapterMemory
from service.engine.parts import AdapterWeights, DeltaWeights, LoraPair

_BYTES = 80


def _weights(name: str) -> DeltaWeights:
    pair = LoraPair(a=torch.zeros(1, 10), b=torch.zeros(10, 1))
    adapter = AdapterWeights(
        id=name, digest=name, tuning=LoraTuning(rank=1), scaling=1, modules={"m": pair}
    )
    return DeltaWeights(name, name, adapter=adapter)


def _ref(name: str) -> DeltaRef:
    return DeltaRef(id=name, key="", digest=name)


def test_the_least_recently_used_leaves_first() -> None:
    memory = AdapterMemory(2 * _BYTES)
    memory.put(_weights("a"))
    memory.put(_weights("b"))
    memory.get(_ref("a"))

    memory.put(_weights("c"))

    assert memory.ids() == ("c", "a")


def test_a_pinned_adapter_stays_until_its_last_unpin() -> None:
    memory = AdapterMemory(_BYTES)
    memory.pin("a")  # before it is there
    memory.pin("a")
    memory.put(_weights("a"))

    memory.put(_weights("b"))
    assert memory.ids() == ("a",)

    memory.pin("b")
    memory.put(_weights("b"))
    memory.unpin("a")
    assert memory.ids() == ("b", "a")

    memory.unpin("a")
    assert memory.ids() == ("b",)


def test_the_same_bytes_under_another_id_are_held_once() -> None:
    memory = AdapterMemory(_BYTES)
    memory.put(_weights("a"))

    again = memory.get(DeltaRef(id="alias", key="", digest="a"))

    assert again is not None
    assert again.id == "alias"
    assert memory.ids() == ("alias",)


_moves = st.lists(
    st.tuples(st.sampled_from(["put", "get", "pin", "unpin"]), st.sampled_from("abcde"))
)


@given(_moves)
def test_unpinned_adapters_never_exceed_the_bound(moves: list[tuple[str, str]]) -> None:
    memory, pins = AdapterMemory(2 * _BYTES), dict.fromkeys("abcde", 0)
    for move, name in moves:
        if move == "put":
            memory.put(_weights(name))
        elif move == "get":
            memory.get(_ref(name))
        elif move == "pin":
            memory.pin(name)
            pins[name] += 1
        elif pins[name]:
            memory.unpin(name)
            pins[name] -= 1
        held = memory.ids()
        assert len(held) <= 2 or all(pins[name] for name in held)
