"""What the columns of a table hold, by the names that the members of JSONL rows have."""

import json
from typing import Any

JSON_COLUMNS = frozenset(
    {
        *("messages", "tools", "functions", "parallel_tool_calls", "input"),
        *("preferred_output", "non_preferred_output"),
        *("preferred_completion", "non_preferred_completion"),
    }
)
TEXT_COLUMNS = frozenset({"prompt", "completion", "text"})
LABEL_COLUMN = "label"
COLUMNS = JSON_COLUMNS | TEXT_COLUMNS | {LABEL_COLUMN}


def cell_value(name: str, cell: str) -> Any:
    """What a cell's text means. Raises ValueError or RecursionError for one that should be JSON.

    A label is itself, unless it is a list in JSON.
    """
    if name in JSON_COLUMNS:
        return json.loads(cell)
    if name == LABEL_COLUMN and cell.startswith("["):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell
