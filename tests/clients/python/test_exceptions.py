import pickle

import httpx2
import pytest

import tunery
from tests.clients.python.replies import answer, refusal
from tunery._exceptions import connection_error, status_error

BY_STATUS = {
    400: tunery.BadRequestError,
    401: tunery.AuthenticationError,
    403: tunery.PermissionDeniedError,
    404: tunery.NotFoundError,
    409: tunery.ConflictError,
    413: tunery.PayloadTooLargeError,
    418: tunery.APIStatusError,
    429: tunery.RateLimitError,
    500: tunery.ServerError,
    503: tunery.ServerError,
}


@pytest.mark.parametrize(("status", "kind"), BY_STATUS.items())
def test_each_status_has_its_class(status: int, kind: type[tunery.APIStatusError]) -> None:
    error = status_error(refusal(status))
    assert type(error) is kind
    assert error.status_code == status


def test_an_error_carries_what_the_envelope_says() -> None:
    error = status_error(refusal(404, code="model_not_found"))
    assert str(error) == "that is wrong"
    assert (error.code, error.param, error.request_id) == ("model_not_found", "model", "req-1")


@pytest.mark.parametrize(
    "response",
    [
        httpx2.Response(502, text="<html>Bad gateway</html>"),
        answer({"error": None}, 502),
        answer([], 502),
        answer({"error": {"message": None, "code": 7}}, 502),
    ],
    ids=["html", "null", "list", "wrong types"],
)
def test_an_answer_without_an_envelope_is_still_an_error(response: httpx2.Response) -> None:
    error = status_error(response)
    assert "502" in str(error)
    assert error.code is None


@pytest.mark.parametrize(
    "cause", [httpx2.ConnectTimeout("late"), httpx2.ReadTimeout("late"), httpx2.PoolTimeout("late")]
)
def test_every_timeout_is_a_timeout_error(cause: httpx2.RequestError) -> None:
    assert isinstance(connection_error(cause), tunery.APITimeoutError)


def test_other_transport_failures_are_connection_errors_with_the_reason() -> None:
    error = connection_error(httpx2.ConnectError("connection refused"))
    assert type(error) is tunery.APIConnectionError
    assert "connection refused" in str(error)


@pytest.mark.parametrize(
    "error",
    [
        tunery.NotFoundError("gone", status_code=404, code="c", param="p", request_id="r"),
        tunery.APIConnectionError("away"),
        tunery.StreamError("broken", code="c"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: tunery.APIError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)
