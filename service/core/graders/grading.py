"""Running a grader on one sample."""

import asyncio
from collections.abc import Mapping

from service.core.errors import (
    ContextLengthExceeded,
    GraderUnavailable,
    ModelNotFound,
    ServiceError,
    TooManyRequests,
    Unavailable,
)
from service.core.graders.asking import (
    ModelAnswer,
    label_form,
    question,
    read_label,
    read_score,
    score_form,
)
from service.core.graders.checks import check_grader, singles_of
from service.core.graders.formula import Formula, FormulaError
from service.core.graders.means import Means
from service.core.graders.outcome import Flags, GradingFailed, Outcome
from service.core.graders.similarity import cosine, similarity
from service.core.graders.specs import (
    Grader,
    LabelModel,
    Multi,
    Python,
    ScoreModel,
    Single,
    StringCheck,
    TextSimilarity,
)
from service.core.graders.templates import Observation


class Grading:
    """Grades, with what it is lent."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def check(self, grader: Grader) -> None:
        """What can be found out without a sample. Raises InvalidRequest, GraderUnavailable."""
        check_grader(grader)
        await self._check_available(grader)
        for place, single in singles_of(grader):
            if isinstance(single, Python):
                await self._means.python.load(single, param=place)

    async def _check_available(self, grader: Grader) -> None:
        """Raises GraderUnavailable."""
        for place, single in singles_of(grader):
            if isinstance(single, Python):
                await self._means.python.require(param=f"{place}.type")
            elif isinstance(single, TextSimilarity) and single.evaluation_metric == "cosine":
                await self._require_embeddings(param=f"{place}.evaluation_metric")

    async def _require_embeddings(self, *, param: str) -> None:
        try:
            await self._means.embed([])
        except ModelNotFound:
            raise GraderUnavailable(
                "The metric 'cosine' compares embeddings, and no embedding model is served here "
                "(its operator names them in TUNERY_EMBEDDING_MODELS); use another metric.",
                param=param,
            ) from None

    async def grade(
        self, grader: Grader, *, sample: str, item: Mapping[str, object] | None = None
    ) -> Outcome:
        """What goes wrong with this sample is told by flags. Raises GraderUnavailable, and what
        asking a model raises for a request that is wrong."""
        await self._check_available(grader)
        observation = Observation(sample, item or {})
        if isinstance(grader, Multi):
            return await self._multi(grader, observation)
        return await self._single(grader, observation)

    async def _multi(self, grader: Multi, observation: Observation) -> Outcome:
        rewards: dict[str, float] = {}
        flags, tokens, is_lost = Flags(), dict[str, int](), False
        for name, single in grader.graders.items():
            outcome = await self._single(single, observation)
            rewards[name] = outcome.reward
            flags |= outcome.flags
            is_lost |= outcome.is_lost
            for model, spent in outcome.tokens.items():
                tokens[model] = tokens.get(model, 0) + spent
        try:
            reward = _calculate(grader.calculate_output, rewards)
        except GradingFailed as failure:
            reward, flags = 0.0, flags | failure.flags
        return Outcome(reward, flags, sub_rewards=rewards, tokens=tokens, is_lost=is_lost)

    async def _single(self, grader: Single, observation: Observation) -> Outcome:
        try:
            match grader:
                case StringCheck():
                    return Outcome(_string_check(grader, observation))
                case TextSimilarity(evaluation_metric="cosine"):
                    return Outcome(await self._cosine(grader, observation))
                case TextSimilarity():
                    return Outcome(await asyncio.to_thread(_similar, grader, observation))
                case ScoreModel() | LabelModel():
                    return await self._model(grader, observation)
                case Python():
                    return Outcome(await self._means.python.grade(grader, observation))
        except GradingFailed as failure:
            return Outcome.failed(failure.flags, is_lost=failure.is_lost)

    async def _model(self, grader: ScoreModel | LabelModel, observation: Observation) -> Outcome:
        form = score_form(grader) if isinstance(grader, ScoreModel) else label_form(grader)
        asked = question(grader, observation, form)
        try:
            answer = await self._means.ask(asked)
        except (Unavailable, TooManyRequests) as error:
            return Outcome.failed(_no_answer(error), is_lost=True)
        tokens = {grader.model: answer.tokens}
        try:
            return Outcome(_read(grader, answer), tokens=tokens)
        except GradingFailed as failure:
            return Outcome.failed(failure.flags, tokens)

    async def _cosine(self, grader: TextSimilarity, observation: Observation) -> float:
        """Raises GradingFailed."""
        text, reference = observation.render(grader.input), observation.render(grader.reference)
        if not text or not reference:  # nothing has no embedding
            return float(text == reference)
        try:
            vectors = await self._means.embed([text, reference])
        except ContextLengthExceeded:
            raise GradingFailed(Flags(other_error=True)) from None
        except (Unavailable, TooManyRequests) as error:
            raise GradingFailed(_no_answer(error), is_lost=True) from None
        return cosine(*vectors)


def _no_answer(error: ServiceError) -> Flags:
    return Flags(model_grader_server_error=True, model_grader_server_error_details=error.code)


def _read(grader: ScoreModel | LabelModel, answer: ModelAnswer) -> float:
    if isinstance(grader, ScoreModel):
        return read_score(grader, answer)
    return read_label(grader, answer)


def _string_check(grader: StringCheck, observation: Observation) -> float:
    text = observation.render(grader.input)
    reference = observation.render(grader.reference)
    match grader.operation:
        case "eq":
            return float(text == reference)
        case "ne":
            return float(text != reference)
        case "like":
            return float(reference in text)
        case "ilike":
            return float(reference.casefold() in text.casefold())


def _similar(grader: TextSimilarity, observation: Observation) -> float:
    text, reference = observation.render(grader.input), observation.render(grader.reference)
    return similarity(grader.evaluation_metric, text, reference)


def _calculate(formula: str, rewards: Mapping[str, float]) -> float:
    """Raises GradingFailed."""
    try:
        return Formula(formula).value(rewards)
    except (FormulaError, KeyError):
        raise GradingFailed(Flags(formula_parse_error=True)) from None
