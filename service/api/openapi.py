"""Writes `clients/openapi.json`: `python -m service.api.openapi`.

The description depends on the code alone; a test holds the committed file equal to it.
"""

import json
from pathlib import Path

from service.api.app import create_app
from service.core.settings import Settings

OPENAPI_PATH = Path(__file__).parents[2] / "clients" / "openapi.json"


def render_openapi() -> str:
    """The public API's description, keys sorted."""
    description = create_app(Settings.model_construct()).openapi()
    return json.dumps(description, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OPENAPI_PATH.parent.mkdir(exist_ok=True)
    OPENAPI_PATH.write_text(render_openapi(), encoding="utf-8")
