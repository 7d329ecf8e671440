"""States are stored when they are due, one at a time; models whenever they are asked for."""

from collections.abc import Callable
from typing import cast

from jobs.methods.saving import Saving
from jobs.runner.session import EngineSession
from service.core.engine_protocol import Command, Save


class Recording:
    """As much of a session as saving needs."""

    def __init__(self) -> None:
        self.saves: list[Save] = []
        self.is_saving = False

    def submit(self, build: Callable[..., Command]) -> int:
        command = build(seq=len(self.saves) + 1)
        assert isinstance(command, Save)
        self.saves.append(command)
        return command.seq

    def flush(self) -> None:
        """Nothing waits here."""


def test_a_state_is_due_after_so_many_seconds_since_the_last_save() -> None:
    session, now = Recording(), 0.0
    saving = Saving(cast(EngineSession, session), every_seconds=60, clock=lambda: now)

    now = 59.0
    saving.save_state_if_due(1)
    now = 60.0
    saving.save_state_if_due(2)
    now = 90.0
    saving.save_model(3)
    now = 149.0
    saving.save_state_if_due(4)
    now, session.is_saving = 151.0, True
    saving.save_state_if_due(5)
    session.is_saving = False
    saving.save_state_if_due(6)

    assert [(save.name, save.parts) for save in session.saves] == [
        ("step-000002", ("state",)),
        ("step-000003", ("adapter", "state")),
        ("step-000006", ("state",)),
    ]
