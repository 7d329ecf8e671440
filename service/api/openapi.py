"""Writes `clients/openapi.json`: `python -m service.api.openapi`.

The description depends on the code alone; a test holds the committed file equal to it. With
`--check` nothing is written; the exit code says whether the file is up to date.
"""

import json
import sys
from pathlib import Path

from service.api.app import create_app
from service.core.settings import Settings

OPENAPI_PATH = Path(__file__).parents[2] / "clients" / "openapi.json"


def render_openapi() -> str:
    """The public API's description, keys sorted."""
    description = create_app(Settings.model_construct()).openapi()
    return json.dumps(description, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    rendered = render_openapi()
    if "--check" in sys.argv[1:]:
        return int(OPENAPI_PATH.read_text(encoding="utf-8") != rendered)
    OPENAPI_PATH.parent.mkdir(exist_ok=True)
    OPENAPI_PATH.write_text(rendered, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
