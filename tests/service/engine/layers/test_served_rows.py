"""Served rows: batched over slots or run by run, each row gets its own adapter's product."""

import pytest
import torch
from torch import nn

from service.engine.layers import AdapterSlots, ServedAdapter, ServedRuns, SlottedRows
from service.engine.layers.served_adapter import ServedFactors

LINEARS = {"first": nn.Linear(6, 10), "second": nn.Linear(10, 6)}
CPU = torch.device("cpu")


def adapter(rank: int, *modules: str) -> ServedAdapter:
    return ServedAdapter(
        {
            name: ServedFactors(
                torch.randn(rank, LINEARS[name].in_features),
                torch.randn(rank, LINEARS[name].out_features),
            )
            for name in modules
        }
    )


ADAPTERS = [
    adapter(2, "first", "second"),
    adapter(4, "first"),
    adapter(1, "second"),
    adapter(3, "first", "second"),
    adapter(8, "second"),
]


def by_hand(rows: list[ServedAdapter | None], module: str, x: torch.Tensor) -> torch.Tensor:
    products = []
    for own, row in zip(rows, x, strict=True):
        factors = own.factors.get(module) if own else None
        width = LINEARS[module].out_features
        products.append(torch.zeros(width) if factors is None else row @ factors.a.T @ factors.b)
    return torch.stack(products)


@pytest.mark.parametrize("module", LINEARS)
@pytest.mark.parametrize("counts", [(1, 1, 1), (2, 2, 2), (3, 1, 2), (4, 0, 1)])
@pytest.mark.parametrize("of_base", [0, 2])
def test_slots_give_every_row_its_own_product(
    module: str, counts: tuple[int, ...], of_base: int
) -> None:
    slots = AdapterSlots(LINEARS, dtype=torch.float32, device=CPU)
    slot_of = slots.place(ADAPTERS[:3])
    by_slot = sorted(ADAPTERS[:3], key=slot_of.__getitem__)
    rows: list[ServedAdapter | None] = [
        own for own, count in zip(by_slot, counts, strict=True) for _ in range(count)
    ]
    rows += [None] * of_base
    x = torch.randn(len(rows), LINEARS[module].in_features)
    y = torch.randn(len(rows), LINEARS[module].out_features)

    plan = SlottedRows(slots, [None if own is None else slot_of[own] for own in rows])

    expected = y + by_hand(rows, module, x)
    torch.testing.assert_close(plan.add(module, x, y.clone()), expected)


def test_runs_leave_the_rows_between_them_to_the_base() -> None:
    rows = [None, ADAPTERS[0], ADAPTERS[0], None, ADAPTERS[1], None]
    x, y = torch.randn(6, 6), torch.randn(6, 10)

    plan = ServedRuns(6, ((1, 3, ADAPTERS[0]), (4, 5, ADAPTERS[1])))

    torch.testing.assert_close(plan.add("first", x, y.clone()), y + by_hand(rows, "first", x))


def test_adapters_come_and_go_without_leaving_traces() -> None:
    slots = AdapterSlots(LINEARS, dtype=torch.float32, device=CPU)
    x, y = torch.randn(1, 10), torch.zeros(1, 6)
    for wanted in ([0, 1, 2], [3, 2, 1], [4, 0, 3, 2, 1], [1, 3], [2], [0, 1, 2, 3]):
        chosen = [ADAPTERS[i] for i in wanted]
        slot_of = slots.place(chosen)
        assert slots.used <= 2 * len(wanted)
        for own in chosen:
            plan = SlottedRows(slots, [slot_of[own]])
            got = plan.add("second", x, y.clone())
            torch.testing.assert_close(got, by_hand([own], "second", x))
