"""A server of the operator's that does not answer is named before anything is started on it."""

import pytest

from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.supervisor.given_parts import check_given_parts
from tests.servers.seaweedfs import S3Credentials

NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"redis_url": "redis://:hush@127.0.0.1:1/0"}, "TUNERY_REDIS_URL"),
        ({"database_url": "postgresql+psycopg://x:hush@127.0.0.1:1/x"}, "TUNERY_DATABASE_URL"),
        (S3Credentials(NOBODY, "key", "hush").as_settings(), r"TUNERY_S3_\*"),
        ({"engine_url": NOBODY}, "TUNERY_ENGINE_URL"),
    ],
)
def test_one_that_is_silent_is_named_without_its_password(
    given: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named) as failure:
        check_given_parts(Settings.model_validate(given), within_seconds=0)

    assert "hush" not in failure.value.message


def test_those_that_answer_pass(s3_credentials: S3Credentials, valkey_url: str) -> None:
    given = {"redis_url": valkey_url, "database_url": "sqlite://", **s3_credentials.as_settings()}

    check_given_parts(Settings.model_validate(given), within_seconds=0)
