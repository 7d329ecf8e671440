"""Write the table of operations in docs/compatibility.md: `python docs/generate_operations.py`.

It sets clients/openapi.json against the operations and parameters that OpenAI has published, which
openai_operations.json names. With `--check` nothing is written; the exit code says whether the
table is up to date.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).with_name("compatibility.md")
BEGIN, END = "<!-- operations: begin -->\n", "<!-- operations: end -->\n"
_OURS = Path(__file__).parents[1] / "clients" / "openapi.json"
_THEIRS = Path(__file__).with_name("openai_operations.json")
_HEAD = """\
| operation | supported | extended | refused |
|---|---|---|---|
"""


def table() -> str:
    """Every operation of either side."""
    ours, theirs = _our_operations(), _read(_THEIRS)
    return _HEAD + "".join(_rows(ours, theirs))


def operations_of(text: str) -> list[str]:
    """Those that the table in a text names."""
    rows = text.partition(BEGIN)[2].partition(END)[0].splitlines()
    return [row.split("`")[1] for row in rows if row.startswith("| `")]


def _rows(ours: Mapping[str, list[str]], theirs: Mapping[str, list[str]]) -> Iterator[str]:
    for name in sorted({*ours, *theirs}, key=lambda name: (name.split()[1], name)):
        if name not in ours:
            yield f"| `{name}` | | | the operation (404) |\n"
            continue
        here, published = set(ours[name]), set(theirs.get(name, ()))
        what = "" if name in theirs else "the operation"
        columns = (
            _listed(here & published),
            "; ".join(filter(None, (what, _listed(here - published)))),
            _listed(published - here),
        )
        yield f"| `{name}` | {' | '.join(columns)} |\n"


def _listed(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _our_operations() -> dict[str, list[str]]:
    description = _read(_OURS)
    schemas = description["components"]["schemas"]
    found = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            names = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                names += _members(content["schema"], schemas)
            found[f"{method.upper()} {path}"] = names
    return found


def _members(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return [
        *schema.get("properties", ()),
        *(name for part in schema.get("anyOf", ()) for name in _members(part, schemas)),
    ]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> int:
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    updated = f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"
    if "--check" in sys.argv[1:]:
        return int(updated != text)
    DOCUMENT.write_text(updated, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
