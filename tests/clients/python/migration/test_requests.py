"""From a job of the source to a request here."""

from typing import Any

import pytest

from tests.fakes.openai_source.organization import FIRST_MODEL, job
from tunery.migration.requests import Origin, Recreation, recreation, why_not
from tunery.migration.source import SourceJob


def recreate(with_hyperparameters: bool = True, **members: Any) -> Recreation:
    given = SourceJob.model_validate(job("ftjob-1", fine_tuned_model=FIRST_MODEL, **members))
    return recreation(
        given,
        origin=Origin("migrated_from", given.id),
        model="base",
        training_file="file-1",
        validation_file=None,
        with_hyperparameters=with_hyperparameters,
    )


def test_a_jobs_method_and_numbers_are_taken_without_the_members_that_are_null() -> None:
    method = recreate().request["method"]

    numbers = {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 1.8}
    assert method == {"type": "supervised", "supervised": {"hyperparameters": numbers}}


def test_numbers_can_be_left_to_the_server() -> None:
    assert recreate(with_hyperparameters=False).request["method"] == {
        "type": "supervised",
        "supervised": {},
    }


def test_old_jobs_without_a_method_keep_their_numbers() -> None:
    method = recreate(method=None, hyperparameters={"n_epochs": 3}).request["method"]

    assert method["supervised"] == {"hyperparameters": {"n_epochs": 3}}


def test_other_methods_keep_their_options() -> None:
    grader = {"type": "string_check", "name": "g", "input": "a", "reference": "b"}
    options = {"grader": grader, "hyperparameters": {"eval_samples": 2, "n_epochs": None}}

    method = recreate(method={"type": "reinforcement", "reinforcement": options}).request["method"]

    assert method == {
        "type": "reinforcement",
        "reinforcement": {"grader": grader, "hyperparameters": {"eval_samples": 2}},
    }


def test_a_suffix_comes_from_the_tuned_name_and_is_made_to_fit() -> None:
    assert recreate().request["suffix"] == "desk"

    changed = recreate(user_provided_suffix="my model!")
    assert changed.request["suffix"] == "my-model"
    assert "my-model" in changed.notes[0]


def test_metadata_beyond_sixteen_pairs_is_left_out_and_told() -> None:
    made = recreate(metadata={f"k{n}": "v" for n in range(16)})

    assert len(made.request["metadata"] or {}) == 16
    assert (made.request["metadata"] or {})["migrated_from"] == "ftjob-1"
    assert "k14, k15" in made.notes[0]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"status": "failed", "error": {"message": "Bad row."}}, "Bad row."),
        ({"status": "failed", "error": None}, "no reason given"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": "running"}, "still running"),
        ({"status": "succeeded"}, "no model"),
    ],
)
def test_what_left_no_model_is_not_made_again(members: dict[str, Any], reason: str) -> None:
    assert reason in (why_not(SourceJob.model_validate(job("ftjob-1", **members))) or "")
