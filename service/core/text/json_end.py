"""Where a JSON object or array ends in text that comes in pieces."""


class JsonEnd:
    """Follows brackets and strings; knows nothing else of JSON."""

    def __init__(self, *, depth: int = 0) -> None:
        """A depth above zero: so many brackets were open before the text began."""
        self._depth = depth
        self._in_string = False
        self._escaped = False

    def find(self, text: str, start: int) -> int | None:
        """Read on from `start`; the position after the bracket that closes the first one."""
        for position in range(start, len(text)):
            if self._closes(text[position]):
                return position + 1
        return None

    def _closes(self, character: str) -> bool:
        if self._in_string:
            self._follow_string(character)
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            return self._depth <= 0
        return False

    def _follow_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
