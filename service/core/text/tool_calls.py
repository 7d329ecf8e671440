"""Calls of tools found in an answer's text as it comes, without taking anything back."""

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from service.core.text.json_end import JsonEnd
from service.core.text.stream import overlap
from service.core.text.tool_format import ToolFormat

_HEAD = re.compile(
    r'\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*'
    r'"(?:arguments|parameters)"\s*:\s*(?=\{)'
)
"""The usual beginning of a call, after which its arguments can be passed on as they come."""
_LONGEST_HEAD = 400
_BETWEEN = " \t\r\n,;[]"


@dataclass(frozen=True)
class CallDelta:
    """What a call has grown by."""

    index: int
    name: str | None = None
    """Set once, when the call begins."""
    arguments: str = ""
    """JSON text."""


@dataclass
class Found:
    """What a piece of an answer turned out to be."""

    text: str = ""
    calls: list[CallDelta] = field(default_factory=list)


class ToolCallParser:
    """Of one answer. An object that is no call of a known tool stays text."""

    def __init__(
        self, form: ToolFormat, names: Collection[str], *, limit: int | None = None
    ) -> None:
        """After `limit` calls the rest of the answer does not count."""
        self._form = form
        self._names = names
        self._limit = limit
        self._buffer = ""
        self._gap = ""
        """What goes before the buffer if that turns out to be text."""
        self._end = JsonEnd()
        self._scanned = 0
        self._found = Found()
        self._step: Callable[[], bool] = self._text if form.opening else self._beginning
        self.calls = 0
        """Calls begun."""

    @property
    def is_complete(self) -> bool:
        """Whether no further call is wanted."""
        return self._step == self._nothing

    def push(self, text: str) -> Found:
        """What is certain now."""
        self._buffer += text
        self._found = Found()
        while self._step():
            pass
        return self._found

    def finish(self) -> Found:
        """The answer has ended: what is not a call by now is text."""
        rest = ""
        is_undecided = self._step in (self._text, self._beginning, self._call)
        if is_undecided or (self._step == self._between and self._gap):
            rest = self._gap + self._buffer
            if self.calls and not rest.strip():
                rest = ""
        self._buffer = self._gap = ""
        return Found(rest)

    # Each step takes from the buffer what it understands; True if another step can go on.

    def _beginning(self) -> bool:
        """Where a call is the whole answer."""
        rest = self._buffer.lstrip()
        if not rest:
            return False
        if not rest.startswith("{"):
            self._step = self._plain
            return True
        self._gap, self._buffer = self._buffer[: -len(rest)], rest
        return self._begin_call()

    def _plain(self) -> bool:
        self._found.text += self._gap + self._buffer
        self._gap = self._buffer = ""
        return False

    def _text(self) -> bool:
        before, opening, rest = self._buffer.partition(self._form.opening)
        held = 0 if opening else overlap(before, self._form.opening)
        certain = before[: len(before) - held].rstrip()
        self._found.text += certain
        if not opening:
            self._buffer = before[len(certain) :]
            return False
        self._gap, self._buffer = before[len(certain) :] + opening, rest
        self._step = self._between
        return True

    def _between(self) -> bool:
        """Before a call, or after one: a call, a closing mark, or neither."""
        rest = self._buffer.lstrip(_BETWEEN)
        closing = self._form.closing
        if not rest or (closing and closing != rest and closing.startswith(rest)):
            return False
        if rest.startswith("{"):
            self._gap += self._buffer[: -len(rest)] if self._gap else ""
            self._buffer = rest
            return self._begin_call()
        if closing and rest.startswith(closing):
            self._gap, self._buffer = "", rest.removeprefix(closing)
        self._step = self._text if self._form.opening else self._plain
        self._found.text += self._gap
        self._gap = ""
        return True

    def _begin_call(self) -> bool:
        self._end, self._scanned = JsonEnd(), 0
        self._step = self._call
        return True

    def _call(self) -> bool:
        """An object has begun, and it is not known yet whether it is a call."""
        head = _HEAD.match(self._buffer) if len(self._buffer) < _LONGEST_HEAD else None
        if head and _read(head[1]) in self._names:
            self._start(str(_read(head[1])))
            self._buffer = self._buffer[head.end() :]
            self._end, self._step = JsonEnd(), self._arguments
            return True
        end = self._end.find(self._buffer, self._scanned)
        self._scanned = len(self._buffer)
        if end is None:
            return False
        call = self._as_call(self._buffer[:end])
        if call is None:
            self._step = self._text if self._form.opening else self._plain
            self._found.text += self._gap + self._buffer[:end]
            self._gap, self._buffer = "", self._buffer[end:]
            return True
        self._start(call[0], call[1])
        self._buffer = self._buffer[end:]
        return self._close_call()

    def _start(self, name: str, arguments: str = "") -> None:
        self._found.calls.append(CallDelta(self.calls, name, arguments))
        self._gap = ""
        self.calls += 1

    def _arguments(self) -> bool:
        end = self._end.find(self._buffer, 0)
        piece = self._buffer[:end]
        if piece:
            self._found.calls.append(CallDelta(self.calls - 1, arguments=piece))
        self._buffer = self._buffer[len(piece) :]
        if end is None:
            return False
        self._end, self._step = JsonEnd(depth=1), self._rest
        return True

    def _rest(self) -> bool:
        """What stands after the arguments in the object of a call, such as an id."""
        end = self._end.find(self._buffer, 0)
        self._buffer = "" if end is None else self._buffer[end:]
        return end is not None and self._close_call()

    def _close_call(self) -> bool:
        self._step = self._nothing if self.calls == self._limit else self._between
        return True

    def _nothing(self) -> bool:
        self._buffer = ""
        return False

    def _as_call(self, text: str) -> tuple[str, str] | None:
        """Name and arguments of a whole object, in whichever order; None for anything else."""
        call = _read(text)
        if not isinstance(call, dict) or call.get("name") not in self._names:
            return None
        arguments = call.get("arguments", call.get("parameters", {}))
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        return str(call["name"]), written


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
