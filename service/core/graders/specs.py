"""What a grader is, in the shape in which requests and jobs carry it."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_TEXT = 200_000
"""Characters of a template or a sample: similarity takes time with the product of two lengths."""
MAX_SOURCE = 256 * 1024
"""Characters of a Python grader, as at OpenAI."""

Name = Annotated[str, Field(min_length=1, max_length=64)]
Template = Annotated[str, Field(max_length=MAX_TEXT)]
Label = Annotated[str, Field(min_length=1, max_length=128)]
Labels = Annotated[list[Label], Field(min_length=1, max_length=64)]


class Spec(BaseModel):
    """Frozen; types as they are written; an unknown member is refused by its name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class StringCheck(Spec):
    """1 when the comparison holds, else 0. `like` looks for the reference within the input."""

    type: Literal["string_check"]
    name: Name
    input: Template
    reference: Template
    operation: Literal["eq", "ne", "like", "ilike"]


Metric = Literal[
    "cosine",
    "fuzzy_match",
    "bleu",
    "gleu",
    "meteor",
    "rouge_1",
    "rouge_2",
    "rouge_3",
    "rouge_4",
    "rouge_5",
    "rouge_l",
]


class TextSimilarity(Spec):
    """How near the input is to the reference, from 0 to 1; `cosine` from -1."""

    type: Literal["text_similarity"]
    name: Name
    input: Template
    reference: Template
    evaluation_metric: Metric


class Python(Spec):
    """A function of the user's, `grade(sample, item) -> float`."""

    type: Literal["python"]
    name: Name
    source: Annotated[str, Field(min_length=1, max_length=MAX_SOURCE)]
    image_tag: Annotated[str, Field(max_length=64)] | None = None
    """Taken and echoed. OpenAI's images differ in the packages they hold; here there is one set."""


class TextItem(Spec):
    """A piece of a message's text."""

    type: Literal["input_text", "output_text"]
    text: Template


def _as_items(content: object) -> object:
    """The four ways to write a message's text are one."""
    items = content if isinstance(content, list) else [content]
    return [{"type": "input_text", "text": i} if isinstance(i, str) else i for i in items]


Content = Annotated[
    list[TextItem],
    Field(min_length=1, max_length=64),
    BeforeValidator(_as_items, json_schema_input_type=str | TextItem | list[str | TextItem]),
]


class GraderMessage(Spec):
    """A turn of the conversation that the grading model continues."""

    role: Literal["user", "assistant", "system", "developer"]
    content: Content
    type: Literal["message"] = "message"

    @property
    def text(self) -> str:
        return "".join(item.text for item in self.content)


class SamplingParams(Spec):
    """How the grading model's answer is drawn."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """None is 0, so that a grade can be repeated."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    max_completions_tokens: Annotated[int, Field(ge=1)] | None = None
    reasoning_effort: None = None
    """No model served here reasons apart from its answer."""


class ModelGrader(Spec):
    """What graders that ask a model have in common."""

    name: Name
    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: Annotated[list[GraderMessage], Field(min_length=1, max_length=64)]
    sampling_params: SamplingParams | None = None


class ScoreModel(ModelGrader):
    """A model gives a number within the range."""

    type: Literal["score_model"]
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        low, high = self.range or (0.0, 1.0)
        return low, high


class LabelModel(ModelGrader):
    """A model chooses a label; 1 when it is one of the passing ones, else 0."""

    type: Literal["label_model"]
    labels: Labels
    passing_labels: Labels


Single = Annotated[
    StringCheck | TextSimilarity | Python | ScoreModel | LabelModel, Field(discriminator="type")
]


def _by_name(graders: object) -> object:
    """The guide names graders by the members of an object; the specification has one grader, and
    lists are seen too. All become the first."""
    if isinstance(graders, dict) and isinstance(graders.get("type"), str):
        graders = [graders]
    if isinstance(graders, list):
        named = [g.get("name") if isinstance(g, dict) else None for g in graders]
        if all(isinstance(name, str) for name in named) and len({*named}) == len(named):
            return dict(zip(named, graders, strict=True))
    return graders


class Multi(Spec):
    """Several graders and a formula over what they give."""

    type: Literal["multi"]
    name: Name
    graders: Annotated[
        dict[Name, Single],
        Field(min_length=1, max_length=20),
        BeforeValidator(
            _by_name, json_schema_input_type=dict[Name, Single] | list[Single] | Single
        ),
    ]
    calculate_output: Annotated[str, Field(min_length=1, max_length=1000)]


Grader = Annotated[
    StringCheck | TextSimilarity | Python | ScoreModel | Multi, Field(discriminator="type")
]
"""`label_model` stands only within `multi`: alone it gives a label, no reward."""
