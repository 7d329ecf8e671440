"""POST /v1/fine_tuning/estimate over HTTP."""

import json
from collections.abc import Iterator

import httpx2
import pytest

from service.core.engine_protocol import Calibration
from service.core.text import TextCodec
from tests.api_fixtures import FAKE_BASE
from tests.fakes.engine import FakeEngine
from tests.running_api import RunningApi
from tests.service.core.estimates.builders import calibration

ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"What is {n} + {n}?"},
            {"role": "assistant", "content": f"{2 * n}."},
        ]
    }
    for n in range(12)
]
BODY = {"model": FAKE_BASE.name, "rows": ROWS, "hyperparameters": {"n_epochs": 3, "batch_size": 4}}


@pytest.fixture
def calibrated(api: RunningApi, engine: FakeEngine) -> Iterator[Calibration]:
    """The engine has measured itself."""
    measured = calibration(digest=FAKE_BASE.digest)
    engine.calibrations = (measured,)
    api.report(engine)
    yield measured
    engine.calibrations = ()
    api.report(engine)


def test_rows_in_the_request_are_counted_exactly(
    http: httpx2.Client, text_codec: TextCodec, calibrated: Calibration
) -> None:
    answer = http.post("/v1/fine_tuning/estimate", json=BODY).json()

    tokens = sum(len(text_codec.training_row(row["messages"]).tokens) for row in ROWS)
    assert answer["object"] == "fine_tuning.estimate"
    assert answer["tokens_per_epoch"] == {"value": tokens, "low": tokens, "high": tokens}
    assert answer["trained_tokens"]["value"] == 3 * tokens
    assert answer["steps"] == {"value": 9, "low": 9, "high": 9}
    assert answer["rows"] == {"examined": 12, "examples": 12, "is_sample": False}
    assert answer["confident"] is True
    for name in ("seconds", "peak_memory_bytes"):
        found = answer[name]
        assert found["low"] < found["value"] < found["high"] <= 1.31 * found["value"]
    assert answer["calibration"] == {
        "engine": "fake-0",
        "device": "cpu (test)",
        "observations": 180,
    }


def test_a_file_is_counted_as_its_rows(
    api: RunningApi, http: httpx2.Client, calibrated: Calibration
) -> None:
    content = "".join(json.dumps(row) + "\n" for row in ROWS)
    files = {"file": ("rows.jsonl", content.encode())}
    uploaded = http.post("/v1/files", files=files, data={"purpose": "fine-tune"}).json()
    by_file = {**BODY, "training_file": uploaded["id"]}
    del by_file["rows"]

    answers = [http.post("/v1/fine_tuning/estimate", json=body).json() for body in (BODY, by_file)]

    assert answers[0] == answers[1]


def test_more_rows_like_these_are_bounds(http: httpx2.Client, calibrated: Calibration) -> None:
    few = http.post("/v1/fine_tuning/estimate", json=BODY).json()
    many = http.post("/v1/fine_tuning/estimate", json={**BODY, "row_count": 1200}).json()

    tokens = many["tokens_per_epoch"]
    assert tokens["value"] == 100 * few["tokens_per_epoch"]["value"]
    assert tokens["low"] < tokens["value"] < tokens["high"]
    assert many["rows"] == {"examined": 12, "examples": 1200, "is_sample": True}
    assert many["confident"] is False
    assert "12 rows were tokenised" in many["notes"][-1]


def test_without_a_calibration_tokens_and_steps_are_told_and_nothing_is_made_up(
    http: httpx2.Client, engine: FakeEngine
) -> None:
    answer = http.post("/v1/fine_tuning/estimate", json=BODY).json()

    assert answer["steps"]["value"] == 9
    assert (answer["seconds"], answer["peak_memory_bytes"]) == (None, None)
    assert (answer["queue_seconds"], answer["calibration"]) == (None, None)
    assert answer["confident"] is False
    assert "measured itself" in answer["notes"][0]


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"model": "nothing"}, 404, "model_not_found", "model"),
        ({"rows": None, "training_file": "file-x"}, 400, "unknown_file", "training_file"),
        ({"training_file": "file-x"}, 400, "invalid_value", None),
        ({"rows": None}, 400, "invalid_value", None),
        ({"row_count": 3}, 400, "invalid_value", None),
        ({"rows": ROWS[:3]}, 400, "invalid_training_file", "training_file"),
        ({"rows": [*ROWS, {"messages": []}]}, 400, "invalid_training_file", "training_file"),
        (
            {"tuning": {"target_modules": ["nothing"]}},
            400,
            "invalid_hyperparameter",
            "tuning.target_modules",
        ),
        ({"tuning": {"type": "head"}}, 400, "unsupported_parameter", None),
    ],
)
def test_what_no_job_could_be_is_refused(
    http: httpx2.Client,
    calibrated: Calibration,
    change: dict[str, object],
    status: int,
    code: str,
    param: str | None,
) -> None:
    body = {name: value for name, value in {**BODY, **change}.items() if value is not None}

    answer = http.post("/v1/fine_tuning/estimate", json=body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    if param is not None:
        assert error["param"] == param
