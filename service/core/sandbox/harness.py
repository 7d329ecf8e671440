"""Calls the function, within the sandbox, and says what came of it."""

import io
import json
import linecache
import math
import numbers
import sys
import traceback
from typing import Any

_FILENAME = "grader.py"
_DETAILS = 4000
"""Characters of a traceback, and as many of what was printed."""


def call(request: bytes) -> bytes:
    """`{"reward": NUMBER}` or `{"fault": TEXT}`. A `sample` of null only looks for the function."""
    printed = _Tail()
    sys.stdout = sys.stderr = printed
    try:
        asked = json.loads(request)
        answer: dict[str, object] = {"reward": _reward(asked)}
    except _Unusable as unusable:
        answer = {"fault": str(unusable)}
    except MemoryError:
        answer = {"fault": "MemoryError: the grader needs more memory than it may have."}
    except BaseException as error:
        answer = {"fault": _told(error)}
    if "fault" in answer and printed.text:
        answer["fault"] = f"{answer['fault']}\nIt printed:\n{printed.text}"
    return json.dumps(answer).encode()


class _Unusable(Exception):
    pass


class _Tail(io.TextIOBase):
    """Keeps the last of what is printed."""

    text = ""

    def write(self, text: str, /) -> int:
        self.text = (self.text + text[-_DETAILS:])[-_DETAILS:]
        return len(text)


def _reward(asked: dict[str, Any]) -> float:
    source: str = asked["source"]
    linecache.cache[_FILENAME] = (len(source), None, source.splitlines(keepends=True), _FILENAME)
    scope: dict[str, Any] = {"__name__": "grader"}
    exec(compile(source, _FILENAME, "exec"), scope)
    grade = scope.get("grade")
    if not callable(grade):
        raise _Unusable("The source defines no function 'grade(sample, item)'.")
    if asked["sample"] is None:
        return 0.0
    reward = grade(asked["sample"], asked["item"])
    if not isinstance(reward, numbers.Real):
        raise _Unusable(f"grade returned a {type(reward).__name__}; it must return a number.")
    if not math.isfinite(reward):
        raise _Unusable(f"grade returned {float(reward)}, which is no finite number.")
    return float(reward)


def _told(error: BaseException) -> str:
    """The traceback of the stranger's own lines."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != _FILENAME:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))[-_DETAILS:].strip()
