"""Errors carry what the wire needs, and survive the way between processes."""

import pickle

import pytest

from service.core import errors
from service.core.errors import IdempotencyKeyInUse, ServiceError

CLASSES = [
    cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, ServiceError)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_pickling(cls: type[ServiceError]) -> None:
    copy = pickle.loads(pickle.dumps(cls("what to do", param="field")))

    assert type(copy) is cls
    assert (copy.message, copy.param, str(copy)) == ("what to do", "field", "what to do")


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_says_when_it_is_raised_and_has_a_code(cls: type[ServiceError]) -> None:
    assert cls.__doc__
    assert cls.code


@pytest.mark.parametrize("cls", [c for c in CLASSES if c.status == 409])
def test_a_conflict_tells_the_sdk_not_to_retry_unless_time_mends_it(
    cls: type[ServiceError],
) -> None:
    if cls is IdempotencyKeyInUse:
        assert "retry-after" in cls.headers
    else:
        assert cls.headers["x-should-retry"] == "false"
