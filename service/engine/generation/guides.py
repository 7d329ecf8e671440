"""Guides compiled to matchers: which tokens may come next in an answer of a given form."""

import json
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from llguidance import LLMatcher, LLTokenizer

from service.core.engine_protocol import Guide
from service.core.errors import InvalidRequest
from service.core.text import TextAssets

_THREADS = 2
_POSITION = re.compile(r"^at \d+\(\d+\): ")
_JSON_OPTIONS = {"whitespace_pattern": "[ \\n\\t]{0,16}"}
"""Room for indentation; without an end to it, a small model may go on with spaces for ever."""


class GuideCompiler:
    """Of one base. Compiles on threads of its own: a large schema takes up to a second."""

    def __init__(self, text: TextAssets | None, *, vocabulary: int) -> None:
        self._text = text
        self._vocabulary = vocabulary
        self._made: LLTokenizer | None = None
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="engine-guide")

    def compile(self, guide: Guide) -> Future[LLMatcher]:
        """Fails with InvalidRequest for a schema that cannot be kept to."""
        return self._threads.submit(self._compile, guide)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _compile(self, guide: Guide) -> LLMatcher:
        matcher = LLMatcher(self._tokenizer(), to_grammar(guide), log_level=0)
        if matcher.is_error():
            reason = first_line(matcher.get_error())
            raise InvalidRequest(f"The schema cannot be used: {reason}", param=guide.param)
        return matcher

    def _tokenizer(self) -> LLTokenizer:
        """Made when a first stream needs it: a large vocabulary takes a second."""
        with self._lock:
            if self._made is None:
                self._made = self._make_tokenizer()
            return self._made

    def _make_tokenizer(self) -> LLTokenizer:
        if self._text is None:
            raise InvalidRequest("This model's answers cannot be guided: it has no tokenizer.")
        try:
            return LLTokenizer(
                self._text.tokenizer_json,
                n_vocab=self._vocabulary,
                eos_token=list(self._text.eos_token_ids),
            )
        except ValueError as error:  # a kind of tokenizer that the library does not read
            raise InvalidRequest(f"This model's answers cannot be guided: {error}.") from error


def to_grammar(guide: Guide) -> str:
    """In llguidance's dialect of Lark. Raises InvalidRequest for what is no schema."""
    try:
        schema = json.loads(guide.json_schema)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The schema is not JSON.", param=guide.param) from error
    if not isinstance(schema, dict):
        raise InvalidRequest("The schema must be an object.", param=guide.param)
    schema["x-guidance"] = _JSON_OPTIONS
    value = f"value: %json {json.dumps(schema)}\n"
    return (_optional(guide) if guide.is_optional else _demanded(guide)) + value


def _demanded(guide: Guide) -> str:
    opening = [] if guide.opening_token is None else [f"<[{guide.opening_token}]>"]
    form = [*opening, *_quoted(guide.before), "value", *_quoted(guide.after)]
    return f"start: {' '.join(form)}\n"


def _optional(guide: Guide) -> str:
    """Any text. What begins the form ends the text before it, which is why it is lazy."""
    after = " ".join(["value", *_quoted(guide.after)])
    if guide.opening_token is not None:
        begins = f"begins: ANY <[{guide.opening_token}]> {' '.join(_quoted(guide.before))}\n"
    elif guide.before.strip():
        mark = guide.before.rstrip()
        padding = " ".join(_quoted(guide.before.removeprefix(mark)))
        begins = f"begins: lead {padding}\nlead[lazy]: ANY {json.dumps(mark)}\n"
    else:  # the form is the whole answer
        return f"start: OTHER | {after}\nOTHER: /\\s*[^{{\\s](.|\\n)*/\n"
    return f"start: form* ANY\nform: begins {after}\n{begins}ANY: /(.|\\n)*/\n"


def _quoted(text: str) -> list[str]:
    return [json.dumps(text)] if text else []


def first_line(reason: str) -> str:
    """Without the position and the excerpt of a grammar that the caller did not write."""
    line = reason.splitlines()[0] if reason else "it is too complex"
    return _POSITION.sub("", line).removeprefix("failed to compile JSON schema: ")
