"""What a job will take: its work from the rows, its time and memory from what an engine measured.

`work` counts, `laws` says what time and memory are functions of, `fitting` finds the coefficients
from real passes, `predicting` puts both together. Nothing here computes on a device.
"""

from service.core.estimates.bounded import Bounded
from service.core.estimates.examples import SizedExample, sized
from service.core.estimates.fitting import Observation, fit
from service.core.estimates.laws import Trained
from service.core.estimates.policy_work import policy_work
from service.core.estimates.predicting import Prediction, predict, queue_seconds
from service.core.estimates.shapes import trainable_parameters
from service.core.estimates.work import JobWork, Setting, epochs_work, units_of

__all__ = [
    "Bounded",
    "JobWork",
    "Observation",
    "Prediction",
    "Setting",
    "SizedExample",
    "Trained",
    "epochs_work",
    "fit",
    "policy_work",
    "predict",
    "queue_seconds",
    "sized",
    "trainable_parameters",
    "units_of",
]
