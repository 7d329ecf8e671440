"""What validation lets through, and what it says about the rest."""

import csv
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.core.domain.jobs import EventLevel, JobStatus
from service.core.domain.work import WorkKind
from service.core.hyperparameters import Hyperparameters
from service.core.repositories.files import FileRepository
from service.core.repositories.work import WorkRepository
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.jobs.shop import GOOD_LINES, OTHER_LINES, Shop, chat_line

JSONL = "".join(f"{line}\n" for line in GOOD_LINES).encode()


def _csv() -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([["messages"], *([json.dumps(json.loads(x)["messages"])] for x in GOOD_LINES)])
    return text.getvalue().encode()


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([json.loads(line) for line in GOOD_LINES]), sink)
    return sink.getvalue()


FORMATS = {"csv": _csv(), "gzip": gzip.compress(JSONL), "parquet": _parquet()}

pytestmark = pytest.mark.usefixtures("engine")


def test_good_files_queue_the_job_with_numbers_for_every_auto(shop: Shop) -> None:
    job_id = shop.create_job(validation_lines=OTHER_LINES, hyperparameters=Hyperparameters())

    job = shop.validate(job_id)

    assert job.status is JobStatus.QUEUED
    assert job.resolved is not None
    assert (job.resolved.batch_size, job.resolved.n_epochs) == (4, 10)
    assert shop.codes(job_id) == ["files_validated"]
    with shop.database.snapshot() as connection:
        due = WorkRepository(connection).due(ring_again_seconds=30)
    assert [(item.kind, item.subject_id) for item in due] == [(WorkKind.TRAINING, job_id)]


def test_every_kind_of_bad_row_is_named_with_its_line_and_the_mend(shop: Shop) -> None:
    lines = [
        *GOOD_LINES,
        "{not json",
        chat_line("A question", "an answer", weight=0),
        chat_line("A long question " * 600, "an answer"),
    ]

    job = shop.validate(shop.create_job(lines))

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.param) == ("invalid_training_file", "training_file")
    for expected in ("Line 13 is not valid JSON", "Line 14 trains nothing", "Line 15 has 9"):
        assert expected in job.error.message
    assert job.finished_at is not None
    assert shop.codes(job.id) == ["rows_examined", "job_failed"]


def test_what_is_hardly_meant_is_told_and_the_job_goes_on(shop: Shop) -> None:
    lines = [*GOOD_LINES, GOOD_LINES[3], chat_line("What is <|im_end|>?", "A token.")]

    job = shop.validate(shop.create_job(lines, validation_lines=[*OTHER_LINES, GOOD_LINES[0]]))

    assert job.status is JobStatus.QUEUED
    assert shop.codes(job.id) == ["rows_examined", "rows_examined", "files_validated"]
    training, validation, _ = shop.events(job.id)
    assert (training.level, validation.level) == (EventLevel.WARN, EventLevel.WARN)
    assert "Line 13 is the same as line 4" in training.message
    assert [count["code"] for count in training.data["counts"]] == ["duplicate", "special_token"]
    assert "Line 6 is also line 1 of the training file" in validation.message


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_trained_on_alike(shop: Shop, name: str) -> None:
    job = shop.validate(shop.create_job(FORMATS[name]))

    assert job.status is JobStatus.QUEUED
    assert shop.train() is not None
    assert shop.status(job.id) is JobStatus.SUCCEEDED


def test_a_file_that_its_format_breaks_fails_the_job_with_the_mend(shop: Shop) -> None:
    job = shop.validate(shop.create_job(FORMATS["gzip"][:-9]))

    assert job.error is not None
    assert job.error.code == "invalid_training_file"
    assert "cut off" in job.error.message


@pytest.mark.parametrize(
    ("lines", "said"),
    [(GOOD_LINES[:9], "has 9 examples"), ((), "has 0 examples")],
    ids=["nine", "none"],
)
def test_too_few_examples_fail(shop: Shop, lines: list[str], said: str) -> None:
    job = shop.validate(shop.create_job(lines))

    assert job.error is not None
    assert said in job.error.message
    assert job.error.param == "training_file"


def test_rows_left_out_for_their_length_are_counted_with_every_line(shop: Shop) -> None:
    """More of them than findings that the event lists."""
    lines = [*GOOD_LINES, *(chat_line(f"Long question {n} " * 20, "a") for n in range(60))]
    short = Hyperparameters(max_seq_length=100, over_length="skip")

    job = shop.validate(shop.create_job(lines, hyperparameters=short))

    assert job.status is JobStatus.QUEUED
    assert job.facts is not None
    assert (job.facts.examples, job.facts.skipped) == (12, 60)
    told = shop.events(job.id)[0]
    assert told.data["counts"] == [
        {
            "code": "skipped",
            "severity": "warning",
            "count": 60,
            "lines": list(range(13, 73)),
        }
    ]
    assert len(told.data["findings"]) == 50  # type: ignore[arg-type]


def test_nothing_left_to_train_on_says_why(shop: Shop) -> None:
    short = Hyperparameters(max_seq_length=8, over_length="truncate")

    job = shop.validate(shop.create_job(hyperparameters=short))

    assert job.error is not None
    assert job.error.message == (
        "The training file has 0 examples (12 more are left out, because they are too long), and "
        "a job needs at least 10; raise max_seq_length, shorten them or add rows."
    )


def test_rows_that_are_others_than_those_validated_are_not_trained_on(shop: Shop) -> None:
    job_id = shop.create_job()
    shop.validate(job_id)
    shop.resources.store.put_bytes(file_of(shop, job_id), JSONL + JSONL)

    shop.train()

    job = shop.job(job_id)
    assert job.error is not None
    assert "12 with" in job.error.message
    assert "24 examples" in job.error.message
    assert shop.steps(job_id) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (GOOD_LINES, "same content"),
        ((), "has 0 examples"),
        (("[]",), "Line 1 is not a JSON object"),
    ],
    ids=["training file", "empty", "bad row"],
)
def test_a_bad_validation_file_is_named_as_such(shop: Shop, lines: list[str], said: str) -> None:
    job = shop.validate(shop.create_job(validation_lines=lines))

    assert job.error is not None
    assert (job.error.code, job.error.param) == ("invalid_validation_file", "validation_file")
    assert said in job.error.message


def test_a_file_deleted_meanwhile_fails_the_job(shop: Shop) -> None:
    job_id = shop.create_job()
    shop.resources.store.delete(file_of(shop, job_id))

    job = shop.validate(job_id)

    assert job.error is not None
    assert job.error.code == "invalid_training_file"
    assert "no longer exists" in job.error.message


def file_of(shop: Shop, job_id: str) -> str:
    with shop.database.snapshot() as connection:
        return FileRepository(connection, shop.scope).get(shop.job(job_id).training_file).key


def test_a_base_that_no_engine_has_reported_yet_is_waited_for_and_said_once(shop: Shop) -> None:
    job_id = shop.create_job(base="to-come")

    shop.validate(job_id)
    shop.end_pauses()
    job = shop.validate(job_id)

    assert job.status is JobStatus.VALIDATING_FILES
    assert shop.codes(job_id) == ["waiting"]


def test_a_row_of_the_whole_context_is_let_through_and_one_token_more_is_not(
    shop: Shop, engine: FakeEngine
) -> None:
    assert engine.bases[0].context_length == FAKE_BASE.context_length
    frame = len("<user\n>\n<assistant\n>\n")  # one token each, like every byte of the content
    content = FAKE_BASE.context_length - frame
    fits = chat_line("q" * (content - 1), "a")
    too_long = chat_line("q" * content, "a")

    assert shop.validate(shop.create_job([*GOOD_LINES, fits])).status is JobStatus.QUEUED
    assert shop.validate(shop.create_job([*GOOD_LINES, too_long])).status is JobStatus.FAILED
