"""Torch gets no thread that the process may not run."""

import os

from service.engine.threads import usable_cpus


def test_the_affinity_mask_bounds_the_threads() -> None:
    mask = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mask)})
    try:
        assert usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, mask)
