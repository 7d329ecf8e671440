"""Which components there are, and what they are told."""

import sys
from pathlib import Path

import pytest

from service.core.settings import Settings
from service.supervisor.packaged import packaged_program
from service.supervisor.stack import local_url, programs, resolve, servers
from service.supervisor.state import PORT_NAMES, State
from tests.servers.seaweedfs import S3Credentials

STATE = State(ports={name: 20_000 + number for number, name in enumerate(PORT_NAMES)})
OWN_S3 = S3Credentials("http://s3.example", "own-key", "own-secret").as_settings()


def names(given: Settings) -> list[str]:
    resolved = resolve(given, STATE)
    components = servers(given, resolved, STATE) + programs(given, resolved, STATE)
    return [component.name for component in components]


def settings(tmp_path: Path, **given: object) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path} | given)


def test_without_servers_of_ones_own_everything_is_embedded(tmp_path: Path) -> None:
    given = settings(tmp_path)

    assert names(given) == ["valkey", "s3", "api", "worker", "reconciler", "engine"]
    assert resolve(given, STATE).database_url == f"sqlite:///{tmp_path}/tunery.db"


@pytest.mark.parametrize(
    ("given", "replaced"),
    [
        ({"redis_url": "redis://own"}, "valkey"),
        (OWN_S3, "s3"),
        ({"engine_url": "http://engine:1", "internal_token": "t"}, "engine"),
    ],
)
def test_a_server_of_ones_own_replaces_the_embedded_one(
    tmp_path: Path, given: dict[str, object], replaced: str
) -> None:
    own = settings(tmp_path, **given)
    resolved = resolve(own, STATE)

    assert replaced not in names(own)
    assert all(str(value) in resolved.as_environment().values() for value in given.values())


def test_a_given_secret_is_used_and_the_others_are_the_kept_ones(tmp_path: Path) -> None:
    told = resolve(settings(tmp_path, api_key="sk-mine"), STATE).as_environment()

    assert told["TUNERY_API_KEY"] == "sk-mine"
    assert told["TUNERY_KEY_PEPPER"] == STATE.key_pepper
    assert told["TUNERY_INTERNAL_TOKEN"] == STATE.internal_token


def test_port_0_means_the_kept_free_one(tmp_path: Path) -> None:
    told = resolve(settings(tmp_path, api_port=0), STATE)

    assert told.api_port == STATE.ports["api"]
    assert told.api_url == f"http://127.0.0.1:{STATE.ports['api']}"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("10.0.0.7", "http://10.0.0.7:1"),
    ],
)
def test_a_server_that_listens_everywhere_is_reached_on_loopback(host: str, url: str) -> None:
    assert local_url(host, 1) == url


def test_no_secret_stands_on_a_command_line(tmp_path: Path) -> None:
    given = settings(tmp_path)
    resolved = resolve(given, STATE)
    secrets = {
        *(STATE.api_key, STATE.key_pepper, STATE.internal_token, STATE.redis_password),
        *(STATE.s3_secret_access_key, STATE.s3_signing_key),
    }

    for component in servers(given, resolved, STATE) + programs(given, resolved, STATE):
        line = " ".join(map(str, component.command))
        assert not any(secret in line for secret in secrets)


def test_every_program_is_a_subcommand_and_only_api_and_engine_are_not_niced(
    tmp_path: Path,
) -> None:
    given = settings(tmp_path)
    components = {c.name: c for c in programs(given, resolve(given, STATE), STATE)}

    for name, component in components.items():
        assert list(component.command)[:5] == [sys.executable, "-P", "-m", "service", name]
    assert {name for name, c in components.items() if c.nice == 0} == {"api", "engine"}


def test_the_shares_of_the_time_to_stop_make_no_more_than_the_whole(tmp_path: Path) -> None:
    given = settings(tmp_path)
    resolved = resolve(given, STATE)
    components = servers(given, resolved, STATE) + programs(given, resolved, STATE)

    assert sum(component.stop_share for component in components) <= 1 + 1e-9


def test_a_missing_package_is_named_with_both_ways_out() -> None:
    from service.core.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match=r"no-such-wheel.*\[embedded\].*set TUNERY_X"):
        packaged_program("no-such-wheel", "server", instead="set TUNERY_X")
