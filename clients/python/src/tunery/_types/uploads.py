"""Files on their way, in parts."""

from tunery._types.base import APIObject
from tunery._types.files import File


class FileUpload(APIObject):
    """A file that comes in parts."""

    id: str
    status: str
    """pending, completed, cancelled or expired."""
    bytes: int
    file: File | None = None


class FilePart(APIObject):
    """A stored part."""

    id: str
