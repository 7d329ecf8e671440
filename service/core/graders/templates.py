"""`{{item.name}}` and `{{sample.output_text}}` in a grader's texts: look-ups, and nothing else."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from service.core.errors import InvalidRequest
from service.core.graders.outcome import Flags, GradingFailed
from service.core.graders.specs import MAX_TEXT

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PATH = re.compile(r"\s*(item|sample)((?:\.[A-Za-z0-9_-]+|\[[0-9]{1,6}\])+)\s*")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]+)\]")
_SAMPLE = ("output_text", "output_json")


def check_template(text: str, *, param: str) -> None:
    """Raises InvalidRequest for what is no look-up."""
    for hole in _HOLE.finditer(text):
        _steps(hole.group(1), param=param)


def _steps(hole: str, *, param: str | None = None) -> tuple[str, list[str]]:
    """The root, and the members on the way from it."""
    found = _PATH.fullmatch(hole)
    if found is None:
        raise InvalidRequest(
            f"{{{{{hole[:100]}}}}} is no look-up; write {{{{item.NAME}}}}, "
            "{{sample.output_text}} or {{sample.output_json.NAME}}, with [0] for the first of a "
            "list.",
            param=param,
        )
    steps = [name or index for name, index in _STEP.findall(found.group(2))]
    if found.group(1) == "sample" and steps[0] not in _SAMPLE:
        raise InvalidRequest(
            f"sample.{steps[0]} does not exist; a sample has {' and '.join(_SAMPLE)}.", param=param
        )
    return found.group(1), steps


@dataclass(frozen=True)
class Observation:
    """What templates may look at."""

    sample: str
    item: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def _output_json(self) -> object:
        try:
            return json.loads(self.sample)
        except (ValueError, RecursionError):
            raise GradingFailed(Flags(sample_parse_error=True)) from None

    def render(self, template: str) -> str:
        """Text as it is, everything else as JSON. Raises GradingFailed."""
        pieces, place, length = [], 0, 0
        for hole in _HOLE.finditer(template):
            pieces += [template[place : hole.start()], _as_text(self._look_up(hole.group(1)))]
            place = hole.end()
            length += len(pieces[-2]) + len(pieces[-1])
            if length > MAX_TEXT:
                raise GradingFailed(Flags(other_error=True))
        return "".join([*pieces, template[place:]])

    def _look_up(self, hole: str) -> object:
        try:
            root, steps = _steps(hole)
        except InvalidRequest:
            raise GradingFailed(Flags(invalid_variable_error=True)) from None
        value: object = self.item
        if root == "sample":
            output, *steps = steps
            value = self.sample if output == "output_text" else self._output_json
        for step in steps:
            value = _member(value, step)
        return value


def _member(value: object, step: str) -> object:
    if isinstance(value, Mapping) and step in value:
        return value[step]
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    raise GradingFailed(Flags(invalid_variable_error=True))


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
