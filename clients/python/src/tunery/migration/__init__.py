"""Moving an organisation's fine-tuning from an OpenAI-compatible server to a Tunery server.

with Source(api_key="sk-…") as source, Tunery() as client:
    options = MigrationOptions(bases={"gpt-4o-mini-2024-07-18": "smollm2-135m-instruct"})
    report = Migration(source, client, Path("tunery-migration"), options).run()
"""

from tunery.migration.capture import CaptureOptions, Equivalence
from tunery.migration.migrate import Migration
from tunery.migration.options import MigrationOptions
from tunery.migration.report import Report, Row
from tunery.migration.source import Source

__all__ = [
    "CaptureOptions",
    "Equivalence",
    "Migration",
    "MigrationOptions",
    "Report",
    "Row",
    "Source",
]
