"""Wire shape of a request to import."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from service.api.wire import RequestBody

FileId = Annotated[str, Field(min_length=1, max_length=64)]
AdapterFile = Literal["adapter_config.json", "adapter_model.safetensors"]


class CreateImport(RequestBody):
    """An adapter in PEFT's format: one archive of its folder, or its two files."""

    base: Annotated[str, Field(min_length=1, max_length=128)]
    """The base here on which it was trained."""
    file_id: FileId | None = None
    """An uploaded .zip, .tar or .tar.gz."""
    files: Annotated[dict[AdapterFile, FileId], Field(min_length=2)] | None = None
    """Both files, each uploaded by itself."""
    suffix: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = (
        None
    )
    """The fourth part of the model's name."""
    base_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """If given, the base must have this digest."""

    @model_validator(mode="after")
    def _names_one_source(self) -> Self:
        if (self.file_id is None) == (self.files is None):
            raise PydanticCustomError(
                "one_source", "give either file_id (an archive) or files (its two files)"
            )
        return self

    @property
    def file_ids(self) -> tuple[str, ...]:
        return (self.file_id,) if self.file_id else tuple((self.files or {}).values())
