"""A file is examined without a job, for the default base or another, and the report is kept."""

from typing import Any

import pytest

from jobs.runner.attempt import claim_subject, work_on
from jobs.runner.control import AttemptControl
from jobs.runner.file_report import report_on_file
from service.api.reports.asking import Asked, ask_for_report
from service.core.datasets import Report, RowKind
from service.core.domain.operations import Operation, OperationStatus
from service.core.domain.work import WorkKind
from service.core.repositories.files import FileRepository
from service.core.repositories.operations import OperationRepository
from tests.jobs.shop import BASE, GOOD_LINES, Shop

pytestmark = pytest.mark.usefixtures("engine")

BAD_LINES = ("{", *GOOD_LINES, GOOD_LINES[0])


def ask(shop: Shop, file_id: str, **asked: Any) -> str:
    with shop.database.transaction() as connection:
        file = FileRepository(connection, shop.scope).get(file_id)
        report = ask_for_report(connection, shop.scope, file, Asked(**asked))
    assert report is not None
    return report.id


def work(shop: Shop, report_id: str) -> Operation:
    claim = claim_subject(shop.resources, WorkKind.FILE_REPORT, report_id)
    assert claim is not None
    work_on(shop.resources, claim, AttemptControl(), report_on_file)
    with shop.database.snapshot() as connection:
        return OperationRepository(connection, shop.scope).get(report_id)


def test_a_file_is_examined_for_what_its_rows_look_like(shop: Shop) -> None:
    operation = work(shop, ask(shop, shop.upload(BAD_LINES)))

    assert operation.status is OperationStatus.SUCCEEDED
    assert operation.result is not None
    assert (operation.result["base"], operation.result["kind"]) == (BASE, "conversation")
    report = Report.from_json(operation.result["report"])
    assert (report.rows, report.usable_rows, report.errors, report.warnings) == (14, 13, 1, 1)
    assert [(f.line, f.code) for f in report.kept] == [(1, "invalid_json"), (14, "duplicate")]
    assert report.tokens > report.trained_tokens > 0


def test_a_file_is_examined_for_the_method_that_is_asked_for(shop: Shop) -> None:
    operation = work(shop, ask(shop, shop.upload(GOOD_LINES), kind=RowKind.TEXT))

    assert operation.result is not None
    report = Report.from_json(operation.result["report"])
    assert [c.code for c in report.by_code()] == ["other_method"]
    assert report.usable_rows == 0


def test_a_file_that_cannot_be_read_has_a_report_that_says_so(shop: Shop) -> None:
    operation = work(shop, ask(shop, shop.upload_bytes(b"\x1f\x8b\x08 no more")))

    assert operation.result is not None
    (finding,) = Report.from_json(operation.result["report"]).kept
    assert finding.code == "unreadable_file"


def test_a_report_is_made_once_and_waits_for_its_base(shop: Shop) -> None:
    file_id = shop.upload(GOOD_LINES)
    report_id = ask(shop, file_id, base="to-come")

    assert ask(shop, file_id, base="to-come") == report_id
    assert work(shop, report_id).status is OperationStatus.QUEUED


def test_a_file_that_is_gone_has_no_report(shop: Shop) -> None:
    file_id = shop.upload(GOOD_LINES)
    report_id = ask(shop, file_id)
    with shop.database.snapshot() as connection:
        key = FileRepository(connection, shop.scope).get(file_id).key
    shop.resources.store.delete(key)

    failed = work(shop, report_id)

    assert failed.error is not None
    assert "no longer exists" in failed.error.message
    assert failed.status is OperationStatus.FAILED


def test_reports_go_with_their_file(shop: Shop) -> None:
    file_id = shop.upload(GOOD_LINES)
    done, waiting = ask(shop, file_id), ask(shop, file_id, kind=RowKind.TEXT)
    work(shop, done)

    with shop.database.transaction() as connection:
        FileRepository(connection, shop.scope).delete(file_id)

    assert claim_subject(shop.resources, WorkKind.FILE_REPORT, waiting) is None
    for report_id in (done, waiting):
        with shop.database.snapshot() as connection, pytest.raises(Exception, match="No such"):
            OperationRepository(connection, shop.scope).get(report_id)
