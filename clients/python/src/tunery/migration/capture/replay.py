"""Prompts put to a model, each answer kept the moment it is there."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from tunery._exceptions import BadRequestError
from tunery._types import ChatCompletion
from tunery.migration.capture.prompts import Prompt

Ask = Callable[[Mapping[str, Any]], ChatCompletion]


@dataclass(frozen=True)
class Answer:
    """What a model said to a prompt, or why it said nothing."""

    key: str
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    finish_reason: str | None = None
    error: str | None = None

    @property
    def is_usable(self) -> bool:
        """Whole, and something was said."""
        return self.error is None and self.finish_reason != "length" and bool(self.text)

    @property
    def text(self) -> str:
        """What can be compared: the words, or else the calls without their ids."""
        if not self.tool_calls:
            return self.content or ""
        calls = [call.get("function") for call in self.tool_calls]
        return json.dumps(calls, sort_keys=True, ensure_ascii=False)

    def message(self) -> dict[str, Any]:
        """As a row of a data set has it."""
        message: dict[str, Any] = {"role": "assistant"}
        if self.content or not self.tool_calls:
            message["content"] = self.content
        return {**message, "tool_calls": self.tool_calls} if self.tool_calls else message


class AnswerFile:
    """A line an answer. What was cut off in the middle of a line never happened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.answers = {answer.key: answer for answer in self._read()}

    def add(self, answer: Answer) -> None:
        line = json.dumps(asdict(answer), ensure_ascii=False) + "\n"
        with self._lock, self._path.open("ab") as file:
            file.write(line.encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())
            self.answers[answer.key] = answer

    def _read(self) -> list[Answer]:
        if not self._path.exists():
            return []
        written = self._path.read_bytes()
        whole = written[: written.rfind(b"\n") + 1]
        if len(whole) < len(written):
            os.truncate(self._path, len(whole))
        return [Answer(**json.loads(line)) for line in whole.splitlines()]


def replay(
    ask: Ask,
    prompts: Sequence[Prompt],
    file: AnswerFile,
    *,
    model: str,
    sampling: Mapping[str, Any],
    concurrency: int,
    on_answer: Callable[[int, int], object] = lambda _done, _all: None,
) -> dict[str, Answer]:
    """Ask for what `file` does not hold yet; the answers by the prompts' keys. A prompt that is
    refused counts as answered, with the refusal.

    Raises APIError; the answers up to then are kept.
    """
    missing = [prompt for prompt in prompts if prompt.key not in file.answers]
    numbers = count(len(prompts) - len(missing) + 1)

    def answer(prompt: Prompt) -> None:
        request = {"model": model, **prompt.request(), **sampling}
        file.add(_answered(ask, prompt.key, request))
        on_answer(next(numbers), len(prompts))

    with ThreadPoolExecutor(concurrency) as threads:
        running = [threads.submit(answer, prompt) for prompt in missing]
        try:
            for each in running:
                each.result()
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    return {prompt.key: file.answers[prompt.key] for prompt in prompts}


def _answered(ask: Ask, key: str, request: Mapping[str, Any]) -> Answer:
    try:
        choice = ask(request).choices[0]
    except BadRequestError as refusal:
        return Answer(key, error=refusal.message)
    message = choice.message
    return Answer(key, message.content, message.tool_calls, choice.finish_reason)
