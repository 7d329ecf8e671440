"""Rows of the methods that let the model answer itself."""

from collections.abc import Mapping
from typing import Any

from service.core.datasets.findings import BadLine
from service.core.datasets.parsing.messages import check_messages
from service.core.datasets.parsing.tools import read_tools
from service.core.datasets.rows import ReinforcementRow

_OWN_KEYS = frozenset({"messages", "tools", "functions", "parallel_tool_calls"})


def read_prompt(line: int, fields: Mapping[str, Any]) -> ReinforcementRow:
    """Raises BadLine."""
    messages = check_messages(fields["messages"], weights=False)
    if messages[-1]["role"] != "user":
        raise BadLine(
            "wrong_last_message",
            f"ends with a message by the {messages[-1]['role']}",
            "end it with the user's: the model writes the answer itself, and a grader finds the "
            'right one in another member of the row (rows with answers in "messages" are for the '
            "method supervised)",
        )
    item = {name: value for name, value in fields.items() if name not in _OWN_KEYS}
    return ReinforcementRow(line, messages, read_tools(fields), item)
