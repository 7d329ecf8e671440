"""From a job to the method that trains it."""

from jobs.methods.classification import Classification
from jobs.methods.method import TrainingMethod
from jobs.methods.preference import Preference
from jobs.methods.reinforcement import Reinforcement
from jobs.methods.reward_model import RewardModel
from jobs.methods.rlhf import Rlhf
from jobs.methods.supervised import Supervised
from jobs.methods.unsupervised import Unsupervised
from service.core.domain.jobs import FineTuningJob
from service.core.domain.methods import (
    ClassificationMethod,
    DpoMethod,
    ReinforcementMethod,
    RewardModelMethod,
    RlhfMethod,
    SupervisedMethod,
    UnsupervisedMethod,
)


def method_of(job: FineTuningJob) -> TrainingMethod:
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
        case ReinforcementMethod() as options:
            return Reinforcement(options)
        case RlhfMethod() as options:
            return Rlhf(options)
