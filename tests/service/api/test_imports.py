"""The api process is light."""

import subprocess
import sys

HEAVY = ("torch", "transformers", "peft", "numpy")


def test_importing_the_api_loads_no_machine_learning() -> None:
    check = (
        "import sys, service.api.app, service.api.main;"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )

    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, check=True, text=True
    )

    assert found.stdout.strip() == "[]"
