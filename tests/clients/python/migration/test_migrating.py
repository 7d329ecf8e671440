"""What is carried over from an OpenAI-compatible source, and what is left behind and why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.python.migration.mover import HERE, Workplace
from tests.fakes.openai_source import (
    BASE,
    FIRST_MODEL,
    SECOND_MODEL,
    RunningSource,
    acme,
    running_source,
)
from tunery import ConfigurationError
from tunery.migration import Report, Row


@pytest.fixture
def source() -> Iterator[RunningSource]:
    with running_source(acme()) as running:
        yield running


@pytest.fixture
def bad_source() -> Iterator[RunningSource]:
    """One that rate-limits, drops connections and breaks downloads off."""
    with running_source(acme(), limit_every=5, drop_every=7, broken_downloads=2) as running:
        yield running


def row(report: Report, source: str) -> Row:
    (found,) = [
        each for each in report.rows if each.source == source and each.kind != "checkpoints"
    ]
    return found


def test_jobs_and_their_data_are_made_again_and_answer_to_their_old_names(
    workplace: Workplace, bad_source: RunningSource
) -> None:
    source = bad_source
    report = workplace.migrate(source)

    with workplace.client() as client:
        first, second = (
            client.fine_tuning.jobs.list(metadata={"migrated_from": id}).page().data
            for id in ("ftjob-first", "ftjob-second")
        )
        (first,), (second,) = first, second
        answer = client.chat.completions.create(
            model=FIRST_MODEL, messages=[{"role": "user", "content": "Hello"}]
        )
        training = client.files.content(first.training_file)
        validation = client.files.content(first.validation_file or "")
        long = client.files.content(second.training_file)

    assert row(report, "ftjob-first").outcome == row(report, "ftjob-second").outcome == "carried"
    assert (first.seed, second.seed) == (7, 8)
    assert first.metadata == {
        "team": "support",
        "migrated_from": "ftjob-first",
        "migrated_model": FIRST_MODEL,
    }
    assert (first.hyperparameters or {})["learning_rate_multiplier"] == 1.8
    assert ":desk:" in (first.fine_tuned_model or "")
    assert (answer.model, answer.text) == (first.fine_tuned_model, "I am new.")
    files = source.organization.files
    assert training == files["file-desk"][1]
    assert validation == files["file-held-out"][1]
    assert long == files["file-long"][1]


def test_what_is_left_behind_is_told_with_the_reason(
    workplace: Workplace, source: RunningSource
) -> None:
    report = workplace.migrate(source)

    left = {each.source: each.note for each in report.rows if each.outcome == "left"}
    assert "Line 3 is no JSON." in left["ftjob-failed"]
    assert "--file file-gone=PATH" in left["ftjob-dataless"]
    assert "--map gpt-4.1-2025-04-14=BASE" in left["ftjob-baseless"]
    assert "Never1" in left["ftjob-orphan"]
    assert "still running" in left["ftjob-running"]
    assert "--all-files" in left["file-spare"]
    assert "1 of other steps" in left["ftjob-first"]
    assert "secret" in left["https://hooks.example.com/acme"]
    assert "integrations" in row(report, "ftjob-second").note
    assert not report.has_failures


def test_integrations_go_along_where_the_project_has_a_key(
    workplace: Workplace, source: RunningSource
) -> None:
    only = frozenset({"ftjob-second"})
    assert "integrations" in row(workplace.migrate(source, only_jobs=only), "ftjob-second").note

    keyed = workplace.another()
    with keyed.api.client(keyed.tenant) as http:
        stored = http.post("/v1/integrations/wandb", json={"api_key": "k" * 40})
    assert stored.status_code == 200, stored.text
    report = keyed.migrate(source, only_jobs=only)

    assert row(report, "ftjob-second").note == ""
    with keyed.client() as client:
        (job,) = client.fine_tuning.jobs.list()
    assert (job.model_extra or {})["integrations"][0]["wandb"]["project"] == "p"


def test_nothing_is_changed_at_the_source(workplace: Workplace, source: RunningSource) -> None:
    workplace.migrate(source, all_files=True)

    assert {method for method, _ in source.calls} == {"GET"}


def test_a_download_goes_on_where_it_broke_off(workplace: Workplace) -> None:
    with running_source(acme(), broken_downloads=3) as source:
        workplace.migrate(source, only_jobs=frozenset({"ftjob-second"}))

    size = len(source.organization.files["file-long"][1])
    assert source.ranges[0] == f"bytes={size // 2}-"
    assert len(source.ranges) == 3


def test_a_source_without_ranges_sends_the_file_again(workplace: Workplace) -> None:
    with running_source(acme(), broken_downloads=2, takes_ranges=False) as source:
        workplace.migrate(source, only_jobs=frozenset({"ftjob-second"}))

    expected = len(source.organization.files["file-long"][1])
    assert workplace.end_state()["files"] == [("file-long.long.jsonl", expected)]


def test_a_dry_run_shows_the_same_jobs_and_writes_nothing(
    workplace: Workplace, source: RunningSource
) -> None:
    report = workplace.migrate(source, dry_run=True)

    planned = {each.source for each in report.rows if each.outcome == "planned"}
    jobs, files = {"ftjob-first", "ftjob-second"}, {"file-desk", "file-held-out", "file-long"}
    assert planned == {BASE, *jobs, *files}
    assert workplace.end_state() == {"files": [], "jobs": [], "names": []}
    assert not workplace.folder.exists()


def test_without_waiting_the_next_run_gives_the_names(
    workplace: Workplace, source: RunningSource
) -> None:
    workplace.finishes = False
    report = workplace.migrate(source, wait=False)
    assert row(report, "ftjob-first").outcome == "waiting"
    assert [alias for alias, _ in workplace.end_state()["names"]] == [BASE]

    workplace.finishes = True
    workplace.migrate(source)

    names = [alias for alias, _ in workplace.end_state()["names"]]
    assert names == sorted([BASE, FIRST_MODEL, SECOND_MODEL])
    assert len(workplace.end_state()["jobs"]) == 2


def test_a_job_that_fails_here_is_told_and_made_again_only_when_asked(
    workplace: Workplace, source: RunningSource
) -> None:
    workplace.fails = ["desk"]
    report = workplace.migrate(source)
    assert "no number" in row(report, "ftjob-first").note
    assert report.has_failures

    workplace.fails = []
    workplace.migrate(source)
    assert len(workplace.end_state()["jobs"]) == 2
    again = workplace.migrate(source, retry_failed=True)

    assert row(again, "ftjob-first").outcome == "carried"
    assert len(workplace.end_state()["jobs"]) == 3


def test_what_is_gone_at_the_source_can_be_given(
    workplace: Workplace, source: RunningSource, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(source.organization.files["file-desk"][1])

    report = workplace.migrate(source, given_files={"file-gone": copy})

    assert row(report, "ftjob-dataless").outcome == "carried"


def test_a_name_that_was_pointed_elsewhere_since_stays_there(
    workplace: Workplace, source: RunningSource
) -> None:
    workplace.migrate(source)
    with workplace.client() as client:
        client.models.aliases.set(FIRST_MODEL, model=HERE)

    workplace.migrate(source)

    assert dict(workplace.end_state()["names"])[FIRST_MODEL] == HERE


def test_a_base_that_is_not_here_and_a_folder_of_another_migration_are_refused(
    workplace: Workplace, source: RunningSource
) -> None:
    with pytest.raises(ConfigurationError, match="nothing"):
        workplace.migrate(source, bases={BASE: "nothing"})
    workplace.migrate(source, only_jobs=frozenset())
    with running_source(acme()) as other, pytest.raises(ConfigurationError, match="--workdir"):
        workplace.migrate(other)
