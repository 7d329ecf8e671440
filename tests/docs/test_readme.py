"""What the pages tell people to type exists."""

import re
import tomllib
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from tunery import __version__
from tunery._cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "clients/python/README.md"]
COMMANDS = [
    line for page in PAGES for line in re.findall(r"^\$ tunery (.*)$", page.read_text(), re.M)
]


def find_command(words: list[str]) -> TyperCommand:
    """The command at the front of `words`, which it is taken from."""
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        command = command.commands[words.pop(0)]
    assert isinstance(command, TyperCommand)
    return command


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_a_readme_exists_with_its_options(line: str) -> None:
    words = line.split()
    command = find_command(words)
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^):#]+)\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_client_has_one_version() -> None:
    project = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
