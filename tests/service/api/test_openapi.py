"""The committed description is that of the code."""

import json

from service.api.openapi import OPENAPI_PATH, render_openapi


def test_the_committed_description_is_up_to_date() -> None:
    assert OPENAPI_PATH.read_text(encoding="utf-8") == render_openapi(), (
        "run `python -m service.api.openapi`"
    )


def test_every_operation_describes_its_failures_in_our_envelope() -> None:
    paths = json.loads(render_openapi())["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            assert "422" not in operation["responses"], path
            failure = operation["responses"]["4XX"]["content"]["application/json"]["schema"]
            assert failure["$ref"].endswith("/ErrorEnvelope")
