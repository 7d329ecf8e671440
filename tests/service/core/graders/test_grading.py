"""Grading: rewards and flags, with a model that answers as it is told."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from pydantic import TypeAdapter

from service.core.errors import (
    ContextLengthExceeded,
    EngineUnavailable,
    GraderUnavailable,
    InvalidRequest,
    ModelNotFound,
    ServiceError,
)
from service.core.graders import (
    Flags,
    Grader,
    Grading,
    Means,
    ModelAnswer,
    Outcome,
    PythonCode,
    Question,
    check_grader,
    models_of,
)

ADAPTER: TypeAdapter[Grader] = TypeAdapter(Grader)
CHECK = {"type": "string_check", "name": "c", "input": "{{sample.output_text}}"}
EQUAL = {**CHECK, "reference": "{{item.want}}", "operation": "eq"}
ALIKE = {
    "type": "text_similarity",
    "name": "t",
    "input": "{{sample.output_text}}",
    "reference": "{{item.want}}",
    "evaluation_metric": "fuzzy_match",
}
SCORE = {
    "type": "score_model",
    "name": "s",
    "model": "judge",
    "input": [{"role": "user", "content": "Rate {{sample.output_text}}"}],
}
LABEL = {
    **SCORE,
    "type": "label_model",
    "labels": ["good", "fair", "bad"],
    "passing_labels": ["good", "fair"],
}


def multi(formula: str, **graders: object) -> dict[str, object]:
    return {"type": "multi", "name": "m", "graders": graders, "calculate_output": formula}


class Judge:
    """Gives its answers in turn and keeps the questions."""

    def __init__(self, *answers: str | ServiceError, is_truncated: bool = False) -> None:
        self.answers = list(answers)
        self.questions: list[Question] = []
        self.is_truncated = is_truncated

    async def ask(self, question: Question) -> ModelAnswer:
        self.questions.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, ServiceError):
            raise answer
        return ModelAnswer(answer, tokens=10, is_truncated=self.is_truncated)


class Embedder:
    """Known vectors for known texts; an error for others."""

    def __init__(self, vectors: Mapping[str, Sequence[float]] | ServiceError) -> None:
        self.vectors = vectors

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if isinstance(self.vectors, ServiceError):
            raise self.vectors
        return [self.vectors[text] for text in texts]


NO_EMBEDDER = Embedder(ModelNotFound("there is none"))


def grading(judge: Judge | None = None, embedder: Embedder = NO_EMBEDDER) -> Grading:
    return Grading(Means((judge or Judge()).ask, embedder.embed, PythonCode()))


def grade(
    grader: object,
    sample: str = "yes",
    judge: Judge | None = None,
    embedder: Embedder = NO_EMBEDDER,
    **item: object,
) -> Outcome:
    with_means = grading(judge, embedder)
    return asyncio.run(with_means.grade(ADAPTER.validate_python(grader), sample=sample, item=item))


def check(grader: object) -> None:
    asyncio.run(grading().check(ADAPTER.validate_python(grader)))


@pytest.mark.parametrize(
    ("operation", "rewards"),
    [("eq", (1, 0, 0, 0)), ("ne", (0, 1, 1, 1)), ("like", (1, 1, 0, 0)), ("ilike", (1, 1, 1, 0))],
)
def test_string_checks(operation: str, rewards: Sequence[float]) -> None:
    samples = ("Yes", "Yes, yes", "yES", "no")
    got = [
        grade({**EQUAL, "operation": operation}, sample, want="Yes").reward for sample in samples
    ]
    assert tuple(got) == rewards


def test_similarity_follows_its_metric() -> None:
    assert grade(ALIKE, "abcd", want="abcd").reward == 1
    assert grade(ALIKE, "abcd", want="abce").reward == pytest.approx(0.75)
    rouge = {**ALIKE, "evaluation_metric": "rouge_1"}
    assert grade(rouge, "abcd", want="abce").reward == 0


@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        ('{"score": 0.25}', 0.25),
        ('Here it is:\n```json\n{"score": 1}\n``` as asked', 1.0),
    ],
)
def test_a_model_gives_a_score(answer: str, reward: float) -> None:
    outcome = grade(SCORE, judge=Judge(answer))
    assert (outcome.reward, outcome.flags, outcome.tokens) == (reward, Flags(), {"judge": 10})


def test_the_range_is_asked_for_and_held_to() -> None:
    judge = Judge('{"score": 7}', '{"score": 7}')
    assert grade({**SCORE, "range": [0, 10]}, judge=judge).reward == 7
    role, form = judge.questions[0].messages[0]
    assert role == "system"
    assert "between 0 and 10" in form
    assert judge.questions[0].messages[1] == ("user", "Rate yes")
    assert grade(SCORE, judge=judge).flags.model_grader_parse_error


def test_the_form_of_the_answer_joins_an_instruction_that_is_there() -> None:
    judge = Judge('{"score": 1}')
    grade({**SCORE, "input": [{"role": "system", "content": "Be strict."}]}, judge=judge)
    ((role, text),) = judge.questions[0].messages
    assert role == "system"
    assert text.startswith("Be strict.")
    assert "JSON" in text


@pytest.mark.parametrize("name", ["temperature", "top_p", "seed", "max_completions_tokens"])
def test_sampling_parameters_reach_the_model(name: str) -> None:
    judge = Judge('{"score": 1}')
    grade({**SCORE, "sampling_params": {name: 1}}, judge=judge)
    assert getattr(judge.questions[0].sampling, name) == 1


@pytest.mark.parametrize(
    ("answer", "flags"),
    [
        ("seven", Flags(model_grader_parse_error=True)),
        ('{"score": "1"}', Flags(model_grader_parse_error=True)),
        ('{"score": true}', Flags(model_grader_parse_error=True)),
        ('{"score": 2}', Flags(model_grader_parse_error=True)),
        ('{"grade": 1}', Flags(model_grader_parse_error=True)),
        ("  ", Flags(model_grader_refusal_error=True)),
        (
            EngineUnavailable("the engine at http://secret went away"),
            Flags(
                model_grader_server_error=True,
                model_grader_server_error_details="engine_unavailable",
            ),
        ),
    ],
)
def test_an_answer_that_is_none_is_flagged(answer: str | ServiceError, flags: Flags) -> None:
    outcome = grade(SCORE, judge=Judge(answer))
    assert (outcome.reward, outcome.flags) == (0, flags)
    assert outcome.is_lost == flags.model_grader_server_error, "else the answer deserves its 0"


def test_an_answer_that_was_cut_off_is_flagged_as_such() -> None:
    outcome = grade(SCORE, judge=Judge('{"sco', is_truncated=True))
    assert outcome.flags == Flags(model_grader_parse_error=True, truncated_observation_error=True)


def test_a_multi_grader_computes_over_its_parts_and_adds_up_their_tokens() -> None:
    grader = multi("0.5 * e + s + l", e=EQUAL, s=SCORE, l=LABEL)
    judge = Judge('{"score": 0.25}', '{"label": "fair"}')

    outcome = grade(grader, "yes", judge, want="yes")

    assert outcome.reward == 1.75
    assert outcome.sub_rewards == {"e": 1, "s": 0.25, "l": 1}
    assert outcome.tokens == {"judge": 20}
    assert outcome.flags == Flags()


@pytest.mark.parametrize(("label", "reward"), [("good", 1), ("bad", 0)])
def test_a_label_passes_or_not(label: str, reward: float) -> None:
    judge = Judge(f'{{"label": "{label}"}}')
    assert grade(multi("l", l=LABEL), judge=judge).reward == reward


def test_a_label_that_is_none_of_them_is_flagged() -> None:
    outcome = grade(multi("l", l=LABEL), judge=Judge('{"label": "great"}'))
    assert outcome.flags == Flags(model_grader_parse_error=True)


@pytest.mark.parametrize(
    ("formula", "flags"),
    [
        ("e +", Flags(formula_parse_error=True)),
        ("e + unknown", Flags(formula_parse_error=True)),
        ("1 / (e - 1)", Flags(unresponsive_reward_error=True)),
    ],
)
def test_a_formula_that_fails_is_flagged(formula: str, flags: Flags) -> None:
    outcome = grade(multi(formula, e=EQUAL), want="yes")
    assert (outcome.reward, outcome.flags, outcome.sub_rewards) == (0, flags, {"e": 1})


def test_flags_of_the_parts_are_flags_of_the_whole() -> None:
    outcome = grade(multi("e + t", e=EQUAL, t={**ALIKE, "reference": "{{item.no}}"}), want="yes")
    assert (outcome.reward, outcome.flags) == (1, Flags(invalid_variable_error=True))


@pytest.mark.parametrize("graders", [EQUAL, [EQUAL]])
def test_the_parts_may_be_one_grader_or_a_list_with_names(graders: object) -> None:
    grader = {**multi("c"), "graders": graders}
    assert grade(grader, want="yes").reward == 1


COSINE = {**ALIKE, "evaluation_metric": "cosine"}


@pytest.mark.parametrize("grader", [COSINE, multi("p", p=COSINE)])
def test_cosine_is_refused_whole_where_nothing_embeds(grader: object) -> None:
    for use in (lambda: grade(grader, want="yes"), lambda: check(grader)):
        with pytest.raises(GraderUnavailable) as caught:
            use()
        assert str(caught.value.param).endswith(".evaluation_metric")


@pytest.mark.parametrize(
    ("vector", "reward"), [([2, 0], 1), ([0, 2], 0), ([-1, 0], -1), ([3, 4], 0.6), ([0, 0], 0)]
)
def test_cosine_is_that_of_the_angle_between_two_embeddings(
    vector: Sequence[float], reward: float
) -> None:
    embedder = Embedder({"a": [1, 0], "b": vector})
    assert grade(COSINE, "a", embedder=embedder, want="b").reward == pytest.approx(reward)


def test_of_nothing_there_is_no_embedding_to_compare() -> None:
    embedder = Embedder({})
    assert grade(COSINE, "", embedder=embedder, want="").reward == 1
    assert grade(COSINE, "a", embedder=embedder, want="").reward == 0


@pytest.mark.parametrize(
    ("error", "flags"),
    [
        (ContextLengthExceeded("too long"), Flags(other_error=True)),
        (
            EngineUnavailable("away"),
            Flags(
                model_grader_server_error=True,
                model_grader_server_error_details="engine_unavailable",
            ),
        ),
    ],
)
def test_texts_that_get_no_embedding_are_flagged(error: ServiceError, flags: Flags) -> None:
    class Failing(Embedder):
        async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
            if not texts:
                return []
            raise error

    outcome = grade(COSINE, "a", embedder=Failing({}), want="b")
    assert (outcome.reward, outcome.flags) == (0, flags)


@pytest.mark.parametrize(
    ("grader", "param"),
    [
        ({**EQUAL, "input": "{{x}}"}, "grader.input"),
        ({**EQUAL, "reference": "{{sample.x}}"}, "grader.reference"),
        ({**SCORE, "range": [1, 1]}, "grader.range"),
        ({**SCORE, "input": [{"role": "user", "content": "{{x}}"}]}, "grader.input.0.content"),
        (multi("e +", e=EQUAL), "grader.calculate_output"),
        (multi("e + f", e=EQUAL), "grader.calculate_output"),
        (multi("l", l={**LABEL, "passing_labels": ["x"]}), "grader.graders.l.passing_labels"),
    ],
)
def test_a_check_names_the_place_of_a_fault(grader: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_grader(ADAPTER.validate_python(grader))
    assert caught.value.param == param


def test_good_graders_pass_their_check_and_name_their_models() -> None:
    grader = ADAPTER.validate_python(multi("e + s * t ^ 2", e=EQUAL, s=SCORE, t=ALIKE))
    check_grader(grader)
    assert list(models_of(grader)) == [("grader.graders.s.model", "judge")]
