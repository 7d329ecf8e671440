"""A job's first steps once more, as a session that shares no pass with another."""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

from jobs.methods.method import Run
from jobs.methods.reporting import StepReport
from jobs.runner.attempt import Attempt
from jobs.runner.engines import training_session
from jobs.runner.environment import environment_of
from jobs.runner.inputs import Inputs
from jobs.runner.session import StoredSave
from jobs.runner.training import plan_of
from service.core.engine_protocol import SessionOpened


@dataclass(frozen=True)
class Replay:
    """What came of it."""

    opened: SessionOpened
    reports: list[StepReport]
    saves: list[StoredSave]


@dataclass
class _Forgetful:
    """Artefacts of a replay, which has one attempt: a later one begins anew."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def get(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def put(self, name: str, content: bytes) -> None:
        self.kept[name] = content


def replay(
    attempt: Attempt, inputs: Inputs, name: str, steps: int, told: Callable[[StepReport], None]
) -> Replay:
    """Under `name` in place of the job's id, which its own attempts keep. `told` hears of each
    step. Raises NotYet, TrainingFailed, and what ends an attempt from outside."""
    inputs = replace(inputs, job=replace(inputs.job, id=name, exact=True, artefacts={}))
    reports: list[StepReport] = []
    with training_session(attempt, inputs) as training:
        session = training.session

        def pulse() -> None:
            attempt.control.check()
            session.beat()

        with environment_of(attempt, inputs, pulse) as environment:
            run = Run(session, _Forgetful(), environment=environment, state_seconds=math.inf)
            plan = plan_of(attempt, inputs, training)
            with closing(inputs.method.train(plan, run)) as loop:  # type: ignore[type-var]
                for report in loop:
                    reports.append(report)
                    told(report)
                    if report.step >= steps:
                        break
        return Replay(training.opened, reports, session.wait_all_stored())
