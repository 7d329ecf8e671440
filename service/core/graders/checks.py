"""What can be said of a grader before there is a sample."""

from collections.abc import Iterator

from service.core.errors import GraderUnavailable, InvalidRequest
from service.core.graders.formula import Formula, FormulaError
from service.core.graders.specs import (
    Grader,
    LabelModel,
    ModelGrader,
    Multi,
    Python,
    ScoreModel,
    Single,
    StringCheck,
    TextSimilarity,
)
from service.core.graders.templates import check_template


def check_grader(grader: Grader) -> None:
    """Raises InvalidRequest for what cannot work, GraderUnavailable for what cannot be done here;
    `param` names the place."""
    for place, single in _singles(grader):
        _check_single(single, place)
    if isinstance(grader, Multi):
        _check_formula(grader)


def check_available(grader: Grader) -> None:
    """Raises GraderUnavailable."""
    for place, single in _singles(grader):
        _check_available(single, place)


def models_of(grader: Grader) -> Iterator[tuple[str, str]]:
    """Every model that it asks, and the place where it is named."""
    for place, single in _singles(grader):
        if isinstance(single, ModelGrader):
            yield f"{place}.model", single.model


def _singles(grader: Grader) -> Iterator[tuple[str, Single]]:
    if isinstance(grader, Multi):
        for name, single in grader.graders.items():
            yield f"grader.graders.{name}", single
    else:
        yield "grader", grader


def _check_available(grader: Single, place: str) -> None:
    if isinstance(grader, Python):
        raise GraderUnavailable(
            "Graders of the type 'python' run code of the caller, and this server has no sandbox "
            "for it; use the other types, which 'multi' combines by a formula.",
            param=f"{place}.type",
        )
    if isinstance(grader, TextSimilarity) and grader.evaluation_metric == "cosine":
        raise GraderUnavailable(
            "The metric 'cosine' compares embeddings, which graders here do not compute; use "
            "one of the other metrics.",
            param=f"{place}.evaluation_metric",
        )


def _check_single(grader: Single, place: str) -> None:
    _check_available(grader, place)
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
