"""What can be said of a grader before there is a sample."""

from collections.abc import Iterator

from service.core.errors import InvalidRequest
from service.core.graders.formula import Formula, FormulaError
from service.core.graders.specs import (
    Grader,
    LabelModel,
    ModelGrader,
    Multi,
    ScoreModel,
    Single,
    StringCheck,
    TextSimilarity,
)
from service.core.graders.templates import check_template


def check_grader(grader: Grader) -> None:
    """Raises InvalidRequest for what cannot work anywhere; `param` names the place."""
    for place, single in singles_of(grader):
        _check_single(single, place)
    if isinstance(grader, Multi):
        _check_formula(grader)


def models_of(grader: Grader) -> Iterator[tuple[str, str]]:
    """Every model that it asks, and the place where it is named."""
    for place, single in singles_of(grader):
        if isinstance(single, ModelGrader):
            yield f"{place}.model", single.model


def singles_of(grader: Grader) -> Iterator[tuple[str, Single]]:
    """The graders that it consists of, each with its place."""
    if isinstance(grader, Multi):
        for name, single in grader.graders.items():
            yield f"grader.graders.{name}", single
    else:
        yield "grader", grader


def _check_single(grader: Single, place: str) -> None:
    if isinstance(grader, StringCheck | TextSimilarity):
        check_template(grader.input, param=f"{place}.input")
        check_template(grader.reference, param=f"{place}.reference")
    if isinstance(grader, ModelGrader):
        for number, message in enumerate(grader.input):
            check_template(message.text, param=f"{place}.input.{number}.content")
    if isinstance(grader, ScoreModel) and grader.bounds[0] >= grader.bounds[1]:
        raise InvalidRequest(
            "The first number of a range is its lower end.", param=f"{place}.range"
        )
    if isinstance(grader, LabelModel) and not {*grader.passing_labels} <= {*grader.labels}:
        raise InvalidRequest(
            "Every passing label must be one of the labels.", param=f"{place}.passing_labels"
        )


def _check_formula(grader: Multi) -> None:
    param = "grader.calculate_output"
    try:
        names = Formula(grader.calculate_output).names
    except FormulaError as error:
        raise InvalidRequest(f"The formula cannot be read: {error}.", param=param) from error
    unknown = sorted(names - grader.graders.keys())
    if unknown:
        raise InvalidRequest(
            f"The formula names {unknown[0]!r}, which is none of the graders "
            f"({', '.join(grader.graders)}).",
            param=param,
        )
