import subprocess
import sys
from pathlib import Path

import tunery


def test_every_public_name_is_listed() -> None:
    public = {
        name
        for name, value in vars(tunery).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == "tunery"
    }
    assert public | {"__version__"} == set(tunery.__all__)


def test_the_list_is_sorted_and_holds_no_name_twice() -> None:
    assert sorted(set(tunery.__all__)) == tunery.__all__


def test_public_names_say_that_they_come_from_the_package() -> None:
    assert tunery.NotFoundError.__module__ == "tunery"


def test_importing_the_client_loads_neither_the_command_line_nor_the_server() -> None:
    script = "import sys, tunery; print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(tunery.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not {"typer", "rich", "service", "jobs"} & set(printed.split())
