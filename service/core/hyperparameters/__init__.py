"""Hyperparameters: what a user may ask for, and how `auto` becomes numbers. Pure.

`requested` and `resolved` are the same names, before and after; `auto` has the rules,
`usage` refuses what a method would ignore.
"""

from service.core.hyperparameters.auto import DataSizes, resolve, row_limit, unit_learning_rate
from service.core.hyperparameters.requested import (
    Auto,
    Hyperparameters,
    OverLength,
    SchedulerType,
)
from service.core.hyperparameters.resolved import ResolvedHyperparameters
from service.core.hyperparameters.usage import check_used

__all__ = [
    "Auto",
    "DataSizes",
    "Hyperparameters",
    "OverLength",
    "ResolvedHyperparameters",
    "SchedulerType",
    "check_used",
    "resolve",
    "row_limit",
    "unit_learning_rate",
]
