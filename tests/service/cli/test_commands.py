"""What the operator's short commands do."""

import json
import re
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from service.cli.checks import PACKAGES
from service.core.database import Database
from service.core.errors import AliasNotFound, ConfigurationError, NotFound
from service.core.repositories.registry import RegistryRepository
from service.core.settings import Settings
from service.supervisor.stack import resolve
from service.supervisor.state import load_or_create_state, load_state
from tests.fakes.engine import FAKE_BASE, FakeEngine

ROOT = Path(__file__).resolve().parents[3]
Command = Callable[..., Result]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs a command on an empty data directory; a failure we know is raised."""
    monkeypatch.setenv("TUNERY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TUNERY_API_PORT", "0")

    def run(*arguments: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(app, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == exit_code, result.output
        return result

    return run


@pytest.fixture
def installed(call: Command, tmp_path: Path) -> Command:
    """The same where `up` has run before."""
    load_or_create_state(tmp_path)
    call("db", "upgrade")
    return call


def test_a_key_is_shown_once_and_then_by_its_end(installed: Command) -> None:
    key = installed("keys", "create", "--name", "nightly").output.strip()

    listed = installed("keys", "list").output
    assert key.startswith("sk-ft-")
    assert key not in listed
    assert f"…{key[-4:]}" in listed
    assert "nightly" in listed


def test_a_key_can_be_restricted_rotated_and_revoked(installed: Command) -> None:
    installed("keys", "create", "--scope", "read", "--scope", "training", "--expires-days", "1")
    (old,) = [line for line in installed("keys", "list").output.splitlines() if line]
    assert "read,training  never used" in old
    key_id = old.split()[0]

    key = installed("keys", "rotate", key_id).output.strip()

    listed = installed("keys", "list").output.splitlines()
    assert sorted(line.split()[3] for line in listed) == ["active", "revoked"]
    (new,) = [line for line in listed if f"…{key[-4:]}" in line]
    assert "read,training" in new
    with pytest.raises(NotFound):
        installed("keys", "rotate", key_id)


def test_an_administrators_key_has_no_other_scope(installed: Command) -> None:
    assert installed("keys", "create", "--scope", "admin").output.startswith("sk-ft-admin-")
    with pytest.raises(ConfigurationError):
        installed("keys", "create", "--scope", "admin", "--scope", "all")


def test_a_key_made_for_the_data_dir_opens_its_api(installed: Command, tmp_path: Path) -> None:
    from service.core.database import Database
    from service.core.repositories.access import AccessRepository
    from service.core.security import hash_api_key

    key = installed("keys", "create").output.strip()

    state = load_state(tmp_path)
    assert state is not None
    settings = resolve(Settings.from_environment(), state)
    database = Database(settings.database_url)
    with database.snapshot() as connection:
        assert AccessRepository(connection).find_principal(hash_api_key(key, settings))
    database.dispose()


def test_keys_of_one_project_share_it_and_those_of_another_do_not(installed: Command) -> None:
    for options in ((), ("--project", "sister"), ("--project", "sister"), ("--project", "other")):
        installed("keys", "create", *options)

    lines = installed("keys", "list").output.splitlines()
    projects = [word for line in lines for word in line.split() if word.startswith("proj_")]
    default, *sisters, other = projects
    assert sisters[0] == sisters[1]
    assert len({default, sisters[0], other}) == 3


def test_a_revoked_key_is_shown_as_such(installed: Command) -> None:
    installed("keys", "create")
    key_id = installed("keys", "list").output.split()[0]

    installed("keys", "revoke", key_id)

    assert "revoked" in installed("keys", "list").output


def test_revoking_an_unknown_key_is_refused(installed: Command) -> None:
    with pytest.raises(NotFound, match="key_nobody"):
        installed("keys", "revoke", "key_nobody")


def test_without_an_installation_the_mend_is_told(call: Command) -> None:
    with pytest.raises(ConfigurationError, match="set TUNERY_DATA_DIR"):
        call("keys", "list")


def test_a_schema_that_is_behind_is_refused(call: Command, tmp_path: Path) -> None:
    load_or_create_state(tmp_path)

    with pytest.raises(ConfigurationError, match="tunery-server db upgrade"):
        call("keys", "create")


def test_the_bases_are_listed_in_order_with_the_default_first(
    call: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNERY_BASE_MODELS", "b=package:x,a=/models/a")

    assert call("models", "list").output.splitlines() == ["b  package:x  (default)", "a  /models/a"]


def test_verifying_an_unknown_base_names_the_known_ones(call: Command) -> None:
    with pytest.raises(ConfigurationError, match=r"'nobody'.*smollm2-135m-instruct"):
        call("models", "verify", "nobody")


def test_doctor_finds_nothing_wrong_here(call: Command) -> None:
    shown = call("doctor").output

    assert "FAIL" not in shown
    for subject in ("python", "extra engine", "extra embedded", "cpu", "memory", "data dir"):
        assert subject in shown


def test_doctor_names_what_is_wrong_with_its_mend(
    call: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TUNERY_DATA_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("TUNERY_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("TUNERY_DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("TUNERY_API_PORT", str(listener.getsockname()[1]))
        shown = call("doctor", exit_code=1).output

    failed = [line.split()[1] for line in shown.splitlines() if line.startswith("FAIL")]
    assert failed == ["data", "port", "database", "redis"]
    assert shown.count("→") == len(failed)


def test_doctor_knows_the_packages_of_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]

    for extra, imported in PACKAGES.items():
        required = {re.split(r"[=<>~\[]", line)[0] for line in extras[extra]}
        assert {name.replace("_", "-") for name in imported} == required


def test_doctor_shows_no_secret(call: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNERY_REDIS_URL", "redis://:hush@127.0.0.1:1/0")

    assert "hush" not in call("doctor", exit_code=1).output


def test_state_of_an_earlier_up_is_left_alone(installed: Command, tmp_path: Path) -> None:
    before = json.loads((tmp_path / "state.json").read_text())

    installed("keys", "create")

    assert json.loads((tmp_path / "state.json").read_text()) == before


def test_bases_get_further_names_and_lose_them(installed: Command, tmp_path: Path) -> None:
    settings = resolve(Settings.from_environment(), load_or_create_state(tmp_path))
    database = Database(settings.database_url)
    with database.transaction() as connection:
        RegistryRepository(connection).report(FakeEngine().state())
    database.dispose()

    installed("models", "alias", "gpt-4o-mini", FAKE_BASE.name)

    assert installed("models", "aliases").output == f"gpt-4o-mini  {FAKE_BASE.name}\n"
    for name, base in (("x", "nothing"), (FAKE_BASE.name, FAKE_BASE.name), ("imports", "x")):
        with pytest.raises(ConfigurationError):
            installed("models", "alias", name, base)
    installed("models", "unalias", "gpt-4o-mini")
    assert installed("models", "aliases").output == ""
    with pytest.raises(AliasNotFound):
        installed("models", "unalias", "gpt-4o-mini")


def test_no_base_has_the_name_of_a_route(call: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNERY_BASE_MODELS", "aliases=package:x")

    with pytest.raises(ConfigurationError, match="aliases"):
        call("models", "list")
