"""The Dockerfile and the compose file say what the settings and the command line know."""

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from service.cli import app
from service.core.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
OURS = {n: s for n, s in COMPOSE["services"].items() if s["image"].startswith("tunery-")}
FILES = ("Dockerfile", "deploy/compose.yaml", "deploy/compose.gpu.yaml", "deploy/env.example")
VARIABLES = {f"TUNERY_{name.upper()}" for name in Settings.model_fields}


def stage(name: str) -> list[str]:
    """Instructions of a stage and of those it is made from."""
    instructions = []
    stages = re.split(r"^FROM ", DOCKERFILE.replace("\\\n", ""), flags=re.MULTILINE)[1:]
    by_name = {text.split()[2]: text for text in stages}
    while name in by_name:
        first, *rest = by_name[name].splitlines()
        instructions += rest
        name = first.split()[0]
    return instructions


def option_names(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def files() -> Iterator[tuple[str, str]]:
    """Path and text of each."""
    for path in FILES:
        yield path, (ROOT / path).read_text()


def test_every_variable_is_a_setting() -> None:
    for path, text in files():
        unknown = set(re.findall(r"TUNERY_[A-Z0-9_]+", text)) - VARIABLES
        assert not unknown, path


def test_every_command_is_one_of_the_command_line() -> None:
    program = typer.main.get_command(app)
    in_stages = [
        re.findall(r'"([^"]+)"', line)
        for name in ("api", "worker", "engine", "engine-cpu")
        for line in stage(name)
        if line.startswith("CMD ")
    ]
    in_services = [service["command"] for service in OURS.values() if "command" in service]

    assert in_stages
    for words in [*in_stages, *in_services]:
        command: Any = program
        for word in words:
            if word.startswith("--"):
                assert word in option_names(command), words
            elif hasattr(command, "commands"):
                assert word in command.commands, words
                command = command.commands[word]


def test_ports_are_those_of_the_settings() -> None:
    defaults = Settings.model_fields
    api, engine = defaults["api_port"].default, defaults["engine_port"].default

    assert f"EXPOSE {api}" in stage("api")
    assert f"EXPOSE {engine}" in stage("engine")
    assert f"EXPOSE {engine}" in stage("engine-cpu")
    assert OURS["api"]["environment"]["TUNERY_API_PORT"] == api
    assert OURS["api"]["ports"] == [f"${{PUBLISHED_ADDRESS:-127.0.0.1:{api}}}:{api}"]
    for process in ("engine", "worker"):
        assert OURS[process]["environment"]["TUNERY_API_URL"] == f"http://api:{api}"
    assert OURS["engine"]["environment"]["TUNERY_ENGINE_PORT"] == engine
    assert OURS["engine"]["environment"]["TUNERY_ENGINE_URL"] == f"http://engine:{engine}"
    for name, port in (("api", api), ("engine", engine)):
        assert any(f"http://127.0.0.1:{port}/healthz" in line for line in stage(name))


@pytest.mark.parametrize("service", OURS)
def test_the_settings_of_every_process_are_valid(service: str) -> None:
    given = OURS[service].get("environment", {})
    values = {
        name.removeprefix("TUNERY_").lower(): re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
        for name, value in given.items()
    }

    Settings.model_validate(values)


def test_the_engine_learns_of_no_database_and_no_queue() -> None:
    given = set(OURS["engine"]["environment"])

    assert not given & {"TUNERY_DATABASE_URL", "TUNERY_REDIS_URL", "TUNERY_API_KEY"}
    assert "TUNERY_INTERNAL_TOKEN" in given


def test_every_process_of_the_service_runs() -> None:
    commands = {service.get("command", [name])[0] for name, service in OURS.items()}

    assert commands == {"db", "api", "worker", "reconciler", "engine"}


def test_targets_of_the_compose_files_are_stages() -> None:
    gpu = yaml.safe_load((ROOT / "deploy" / "compose.gpu.yaml").read_text())["services"]
    built = [s["build"]["target"] for s in [*OURS.values(), *gpu.values()] if "build" in s]

    assert sorted(built) == ["api", "engine", "engine-cpu", "worker"]
    assert all(stage(target) for target in built)


def test_every_secret_must_be_given_and_the_example_names_it() -> None:
    named = set(re.findall(r"^(\w+)=", (ROOT / "deploy/env.example").read_text(), re.MULTILINE))
    compose = (ROOT / "deploy/compose.yaml").read_text()

    assert set(re.findall(r"\$\{(\w+):[?-]", compose)) == named
    required = set(re.findall(r"\$\{(\w+):\?", compose))
    assert {name for name in named if re.search("KEY|PASSWORD|PEPPER|TOKEN", name)} == required


@pytest.mark.parametrize("target", ["api", "worker"])
def test_api_and_worker_carry_no_torch(target: str) -> None:
    locks = re.findall(r"requirements/([\w-]+\.txt)", " ".join(stage(target)))
    installed = (ROOT / "requirements/services.txt").read_text()

    assert set(locks) == {"services.txt"}
    assert not re.search(r"^(torch|transformers|peft|nvidia|triton)\b", installed, re.MULTILINE)


@pytest.mark.parametrize("target", ["api", "worker", "engine", "engine-cpu"])
def test_images_run_without_privileges_and_install_by_hash(target: str) -> None:
    instructions = stage(target)

    assert "USER 10001:10001" in instructions
    for line in instructions:
        if "--requirement requirements/" in line and "torch.txt" not in line:
            assert "--no-deps --require-hashes" in line


def test_no_file_names_a_registry_or_an_index() -> None:
    locks = [(path.name, path.read_text()) for path in (ROOT / "requirements").iterdir()]
    for path, text in [*files(), *locks]:
        addresses = set(re.findall(r"https?://[\w.${}-]+", text))
        assert all(re.search(r"//(127\.0\.0\.1|api|engine|seaweedfs)$", a) for a in addresses), path
        assert not re.search(r"^\s*image: [\w-]+\.[\w.-]+/", text, re.MULTILINE), path


@pytest.mark.parametrize("lock", ["runtime", "dev", "services", "engine"])
def test_locks_pin_by_hash_and_hold_no_build_of_torch(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())

    for entry in entries:
        assert re.match(r"[\w.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert not re.search(r"^(torch|nvidia|triton|cuda)\b", text, re.MULTILINE)


def test_the_built_package_has_every_file_of_the_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(_copy(tmp_path))]
    subprocess.run(command, check=True, cwd=tmp_path)

    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(path.relative_to(ROOT))
        for package in ("service", "jobs")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= packed


def _copy(folder: Path) -> Path:
    """What a container build gets to see: building leaves files beside the sources."""
    source = folder / "source"
    for name in ("service", "jobs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    return source
