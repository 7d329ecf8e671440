"""What a job here learns from: the source's data sets, or the old model's answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tunery.migration.capture import CaptureOptions, Distillation, NothingCaptured
from tunery.migration.capture.prompts import Prompt, read_prompts
from tunery.migration.datasets import DatasetMissing, Datasets
from tunery.migration.source import Source, SourceJob

_TOLD = 20
"""Times that the progress of a capture is told."""


@dataclass(frozen=True)
class LocalSet:
    """A file on this disk, and its id at the source, or what stands for one."""

    source_id: str
    path: Path


@dataclass(frozen=True)
class TrainingSets:
    """Of one job."""

    training: LocalSet
    validation: LocalSet | None
    notes: tuple[str, ...] = ()


def original_sets(job: SourceJob, datasets: Datasets) -> TrainingSets:
    """Raises DatasetMissing without the training file, APIError."""
    training = LocalSet(job.training_file, datasets.fetch(job.training_file))
    if job.validation_file is None:
        return TrainingSets(training, None)
    try:
        validation = LocalSet(job.validation_file, datasets.fetch(job.validation_file))
    except DatasetMissing as missing:
        return TrainingSets(training, None, (f"without its validation file: {missing}",))
    return TrainingSets(training, validation)


def distillation_of(
    job: SourceJob,
    datasets: Datasets,
    folder: Path,
    options: CaptureOptions,
    on_progress: Callable[[str], object],
) -> Distillation:
    """Raises DatasetMissing if the prompts were to come from a data set that is gone, ValueError
    for rows that hold none."""
    model = job.fine_tuned_model or ""

    def on_answer(done: int, of: int) -> None:
        if done == of or done * _TOLD // of > (done - 1) * _TOLD // of:
            on_progress(f"{model}: {done} of {of} answers")

    prompts: list[Prompt] = read_prompts(options.prompts or datasets.fetch(job.training_file))
    return Distillation(model, prompts, folder / job.id, options, on_answer)


def captured_sets(job: SourceJob, source: Source, distillation: Distillation) -> TrainingSets:
    """Raises NothingCaptured, APIError."""
    sets = distillation.capture(source.ask, prefix=job.id)
    return TrainingSets(
        LocalSet(sets.distillation.name, sets.distillation),
        LocalSet(sets.evaluation.name, sets.evaluation),
        (sets.note,),
    )


__all__ = [
    "DatasetMissing",
    "LocalSet",
    "NothingCaptured",
    "TrainingSets",
    "captured_sets",
    "distillation_of",
    "original_sets",
]
