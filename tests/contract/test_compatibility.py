"""The page on compatibility names every operation there is."""

import json
import runpy
from pathlib import Path

from service.api.openapi import OPENAPI_PATH

_DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_of_operations_is_that_of_the_description() -> None:
    generator = runpy.run_path(str(_DOCS / "generate_operations.py"))
    text = (_DOCS / "compatibility.md").read_text(encoding="utf-8")

    assert generator["table"]() in text, "run `python docs/generate_operations.py`"
    listed = set(generator["operations_of"](text))
    paths = json.loads(OPENAPI_PATH.read_text(encoding="utf-8"))["paths"]
    described = {f"{method.upper()} {path}" for path, ms in paths.items() for method in ms}
    published = set(json.loads((_DOCS / "openai_operations.json").read_text(encoding="utf-8")))
    assert listed == described | published
