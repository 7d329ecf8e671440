"""What an estimate is asked for: a job's body, with a file or with rows."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from service.api.fine_tuning.requests import FileId, JobOptions

MAX_ROWS = 1000


class EstimateJob(JobOptions):
    """A job that is not created."""

    training_file: FileId | None = None
    rows: Annotated[list[Any], Field(min_length=1, max_length=MAX_ROWS)] | None = None
    """Instead of a file: what its lines would hold."""
    row_count: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """So many rows like those of `rows`; absent, they are all there are."""

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if (self.training_file is None) == (self.rows is None):
            raise PydanticCustomError("one_source", "give either training_file or rows")
        if self.row_count is not None and (self.rows is None or self.row_count < len(self.rows)):
            raise PydanticCustomError(
                "row_count", "row_count says how many rows like those of 'rows' there are"
            )
        return self
