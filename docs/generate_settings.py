"""Write docs/configuration.md from the settings themselves: `python docs/generate_settings.py`.

With `--check` nothing is written; the exit code says whether the file is up to date.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from service.core.settings import Settings

DOCUMENT = Path(__file__).with_name("configuration.md")
_INTRODUCTION = """\
# Configuration

Every process of the server reads these variables once, at its start, and nothing else; a value that
does not fit ends the process with the variable's name. `tunery-server up` chooses addresses,
passwords and keys itself and hands them to the processes it starts; a variable that is given
replaces the embedded part by the real one.

This table is written by `docs/generate_settings.py` from `service/core/settings.py`.

| variable | default | meaning |
|---|---|---|
"""


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    variable: str
    default: str
    meaning: str

    def as_row(self) -> str:
        return f"| `{self.variable}` | {self.default} | {self.meaning} |\n"


def document() -> str:
    """The whole page."""
    return _INTRODUCTION + "".join(setting.as_row() for setting in _settings())


def _settings() -> Iterator[Setting]:
    prefix = Settings.model_config.get("env_prefix", "")
    (definition,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(definition, ast.ClassDef)
    for statement, following in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            yield Setting(
                variable=f"{prefix}{name}".upper(),
                default=_default(name, statement),
                meaning=_docstring(following),
            )


def _default(name: str, statement: ast.AnnAssign) -> str:
    folder = _user_folder(statement)
    if folder:
        return folder
    value = Settings.model_fields[name].default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is PydanticUndefined:
        return "required"
    return "none" if value is None or value == "" else f"`{value}`"


def _user_folder(statement: ast.AnnAssign) -> str | None:
    """The folder as a rule, since the path itself depends on who asks."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_user_folder":
            variable, fallback = (ast.literal_eval(argument) for argument in node.args)
            return f"`${variable}/tunery`, else `~/{fallback}/tunery`"
    return None


def _docstring(statement: ast.stmt | None) -> str:
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
        return ""
    return inspect.cleandoc(str(statement.value.value)).replace("\n", " ").replace("|", "\\|")


def main() -> int:
    text = document()
    if "--check" in sys.argv[1:]:
        return 0 if DOCUMENT.read_text(encoding="utf-8") == text else 1
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
