"""Old models' answers, captured before they disappear: sets, equivalence, names."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.python.migration.mover import Cut, Scissors, Workplace
from tests.fakes.openai_source import FIRST_MODEL, RunningSource, acme, running_source
from tests.fakes.openai_source.server import answer_of
from tunery.migration import CaptureOptions

FIRST = frozenset({"ftjob-first"})


@pytest.fixture
def source() -> Iterator[RunningSource]:
    with running_source(acme(), limit_every=4) as running:
        yield running


def prompts_file(folder: Path, *texts: str) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    return path


def lines(content: bytes) -> list[dict[str, list[dict[str, str]]]]:
    return [json.loads(line) for line in content.splitlines()]


def test_the_old_models_answers_are_what_the_new_one_learns_from(
    workplace: Workplace, source: RunningSource
) -> None:
    capture = CaptureOptions(held_out=0.2)
    report = workplace.migrate(source, only_jobs=FIRST, capture=capture)

    with workplace.client() as client:
        (job,) = client.fine_tuning.jobs.list(metadata={"captured_from": "ftjob-first"})
        trained = lines(client.files.content(job.training_file))
        held_out = lines(client.files.content(job.validation_file or ""))
        answer = client.chat.completions.create(
            model=FIRST_MODEL, messages=[{"role": "user", "content": "Hello"}]
        )
    assert (len(trained), len(held_out)) == (11, 3)
    for row in (*trained, *held_out):
        *_, question, said = row["messages"]
        assert said == {"role": "assistant", "content": answer_of(FIRST_MODEL, question["content"])}
    questions = [row["messages"][-2]["content"] for row in (*trained, *held_out)]
    assert sorted(questions) == sorted(source.asked)
    assert answer.model == job.fine_tuned_model
    (row,) = report.of("job")
    assert "11 answers to learn from" in row.note


def test_old_and_new_are_compared_on_what_was_held_out_prompt_by_prompt(
    workplace: Workplace, source: RunningSource
) -> None:
    workplace.answers = answer_of(FIRST_MODEL, "Question 1 on desks?")
    with workplace.migration(
        source, only_jobs=FIRST, capture=CaptureOptions(held_out=0.25)
    ) as migration:
        migration.run()
        (equivalence,) = migration.equivalences

    with equivalence.table.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert equivalence.prompts == len(table) == 4
    assert {row["new"] for row in table} == {workplace.answers}
    assert [row["old"] == row["new"] for row in table] == [row["exact"] == "1" for row in table]
    similarities = [float(row["similarity"]) for row in table]
    assert similarities == sorted(similarities)
    assert equivalence.similarity == pytest.approx(sum(similarities) / 4, abs=1e-3)
    assert 0.5 < equivalence.token_f1 <= 1


def test_prompts_can_be_given_and_refused_ones_are_left_out_and_told(
    workplace: Workplace, source: RunningSource, tmp_path: Path
) -> None:
    texts = [f"What is {n}?" for n in range(12)]
    prompts = prompts_file(tmp_path, *texts, texts[0], "this is forbidden")

    report = workplace.migrate(source, only_jobs=FIRST, capture=CaptureOptions(prompts))

    assert sorted(source.asked) == sorted(texts)
    (note,) = [row.note for row in report.of("job")]
    assert "1 refused" in note


def test_a_cut_capture_asks_only_what_is_missing(
    workplace: Workplace, source: RunningSource
) -> None:
    capture = CaptureOptions(concurrency=1)
    with pytest.raises(Cut):
        workplace.migrate(source, Scissors(at=20), only_jobs=FIRST, capture=capture)
    before = len(source.asked)
    assert 0 < before < 14
    answers = workplace.folder / "captured" / "ftjob-first" / "answers.jsonl"
    with answers.open("a") as file:
        file.write('{"key": "cut off in the mi')

    workplace.migrate(source, only_jobs=FIRST, capture=capture)

    assert len(source.asked) == len(set(source.asked)) == 14


def test_a_model_that_is_gone_already_and_too_few_prompts_are_told(
    workplace: Workplace, source: RunningSource, tmp_path: Path
) -> None:
    few = CaptureOptions(prompts_file(tmp_path, "one", "two"))
    (row,) = workplace.migrate(source, only_jobs=FIRST, capture=few).of("job")
    assert "--prompts" in row.note

    source.tunes_are_gone = True
    (row,) = (
        workplace.another().migrate(source, only_jobs=FIRST, capture=CaptureOptions()).of("job")
    )

    assert (row.outcome, "does not exist" in row.note) == ("left", True)
    assert workplace.end_state()["jobs"] == []
