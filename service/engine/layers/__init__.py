"""Linear layers that serve and train many adapters over one frozen base."""

from service.engine.layers.adapter_slots import AdapterSlots
from service.engine.layers.dora import LowRank, Magnitude, row_norms
from service.engine.layers.multi_adapter_linear import (
    AdapterSwitch,
    MultiAdapterLinear,
    RowPlan,
    adaptable_linears,
    select_targets,
    swap_linears,
)
from service.engine.layers.served_adapter import ServedAdapter
from service.engine.layers.served_rows import ServedRuns, SlottedRows
from service.engine.layers.stacking import stack
from service.engine.layers.trained_rows import RowDropout, TrainedFactors, TrainedRun, TrainedRuns

__all__ = [
    "AdapterSlots",
    "AdapterSwitch",
    "LowRank",
    "Magnitude",
    "MultiAdapterLinear",
    "RowDropout",
    "RowPlan",
    "ServedAdapter",
    "ServedRuns",
    "SlottedRows",
    "TrainedFactors",
    "TrainedRun",
    "TrainedRuns",
    "adaptable_linears",
    "row_norms",
    "select_targets",
    "stack",
    "swap_linears",
]
