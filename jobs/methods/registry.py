"""From a job to the method that trains it."""

from jobs.methods.classification import Classification
from jobs.methods.method import TrainingMethod
from jobs.methods.preference import Preference
from jobs.methods.reward_model import RewardModel
from jobs.methods.supervised import Supervised
from jobs.methods.unsupervised import Unsupervised
from service.core.domain.jobs import FineTuningJob
from service.core.domain.methods import (
    ClassificationMethod,
    DpoMethod,
    RewardModelMethod,
    SupervisedMethod,
    UnsupervisedMethod,
)
from service.core.errors import UnsupportedParameter


def method_of(job: FineTuningJob) -> TrainingMethod:
    """Raises UnsupportedParameter for a method that this worker does not know."""
    match job.method:
        case SupervisedMethod():
            return Supervised()
        case UnsupervisedMethod(replay_ratio=ratio):
            return Unsupervised(ratio)
        case ClassificationMethod() as options:
            return Classification(options, job.tuning)
        case DpoMethod() as options:
            return Preference(options)
        case RewardModelMethod():
            return RewardModel(job.tuning)
    raise UnsupportedParameter(
        f"This worker does not train with {job.method.type!r}.", param="method.type"
    )
