"""Why training ends without a model."""

from service.core.errors.base import ServiceError


class TrainingFailed(ServiceError):
    """A training attempt that no repetition can save."""

    code = "training_failed"


class NoTrainableTokens(TrainingFailed):
    """The rows leave nothing to learn from."""

    code = "no_trainable_tokens"


class StartModelGone(TrainingFailed):
    """The tuned model that the job goes on from is no longer there."""

    code = "start_model_gone"


class TrainingDiverged(TrainingFailed):
    """Loss or gradient became NaN or infinite."""

    code = "training_diverged"


class EngineCrashed(TrainingFailed):
    """The job brought the engine down twice without progress."""

    code = "engine_crashed"


class OutOfMemory(TrainingFailed):
    """A micro-batch did not fit the device."""

    code = "out_of_memory"


class InfrastructureFailed(TrainingFailed):
    """Attempt after attempt was lost to the machinery, never to the job itself."""

    code = "infrastructure_failed"
