"""Wire shapes of previews."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from service.api.fine_tuning.hyperparameters import MaxSeqLength
from service.api.reports.schemas import FindingObject
from service.api.wire import Answer, RequestBody
from service.core.hyperparameters import Hyperparameters, OverLength

MAX_ROWS = 20


class PreviewMethod(RequestBody):
    """How the rows will be trained on."""

    type: Annotated[str, Field(min_length=1, max_length=64)]


class CreatePreview(RequestBody):
    """Rows of a file or rows as they are, a model, a method."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    training_file: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    rows: Annotated[list[Any], Field(min_length=1, max_length=MAX_ROWS)] | None = None
    """Instead of a file: what its lines would hold."""
    method: PreviewMethod = PreviewMethod(type="supervised")
    max_seq_length: MaxSeqLength = "auto"
    """As in the job's hyperparameters; so is `over_length`."""
    over_length: OverLength = "error"
    first_line: Annotated[int, Field(ge=1)] = 1
    """Of the file."""
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 5
    """Lines of the file."""

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if (self.training_file is None) == (self.rows is None):
            raise PydanticCustomError("one_source", "give either training_file or rows")
        return self

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Of the job that would train on the rows."""
        return Hyperparameters(max_seq_length=self.max_seq_length, over_length=self.over_length)


class CutObject(Answer):
    """What over_length took away."""

    tokens: int
    text: str


class SequenceObject(Answer):
    """Tokens that the model is trained on together."""

    name: str
    """`row`, or of a preference `preferred` and `rejected`."""
    rendered: str
    """The whole text as the model sees it."""
    token_ids: list[int]
    token_texts: list[str]
    """Half a character is shown as U+FFFD."""
    weights: list[float]
    """How much each token's prediction is trained; 0 is not at all."""
    num_tokens: int
    num_trained_tokens: int
    cut: CutObject | None


class PreviewRow(Answer):
    """A row that would be trained on."""

    line: int
    sequences: list[SequenceObject]


class Preview(Answer):
    """Rows as they would be trained on, and what was found in them."""

    object: Literal["fine_tuning.preview"] = "fine_tuning.preview"
    model: str
    """The base whose template and tokens these are."""
    method: str
    max_seq_length: int
    rows: list[PreviewRow]
    findings: list[FindingObject]
    has_more: bool
    """Whether the file goes on."""
