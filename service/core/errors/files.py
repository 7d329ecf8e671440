"""Files, uploads, and the rows in them."""

from service.core.errors.base import InvalidRequest, NotFound


class UnknownFile(InvalidRequest):
    """The request refers to a file that the project does not have. 400, as OpenAI answers it: the
    resource that was asked for is not the file."""

    code = "unknown_file"


class FileInUse(InvalidRequest):
    """A file that an unfinished job still reads cannot be deleted."""

    code = "file_in_use"


class UploadNotPending(InvalidRequest):
    """The upload was completed or cancelled, or has expired."""

    code = "upload_not_pending"


class UploadMismatch(InvalidRequest):
    """The parts do not amount to what the upload was declared to be."""

    code = "upload_mismatch"


class ChecksumMismatch(InvalidRequest):
    """The content has another MD5 than the caller says."""

    code = "checksum_mismatch"


class FileNotFound(NotFound):
    """No such file in the caller's project."""

    code = "file_not_found"


class UploadNotFound(NotFound):
    """No such upload in the caller's project."""

    code = "upload_not_found"
