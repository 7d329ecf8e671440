"""A multipart upload, read piece by piece: one file and a few short fields, in any order.

The form is pulled: it parses only as much of the request as the next bytes of the file need, so a
slow object store slows the client down and nothing piles up in memory.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.core.errors import InvalidRequest

_MAX_FIELD_BYTES = 4096
_MAX_PARTS = 32
_MAX_FILENAME_CHARACTERS = 255


class UploadForm:
    """Call `find_file`, then `read_file` until it gives nothing, then `read_rest`.

    All of them raise InvalidRequest for a malformed form.
    """

    def __init__(
        self, content_type: str, body: AsyncIterator[bytes], *, file_part: str = "file"
    ) -> None:
        """`file_part` is the name of the part that holds the bytes."""
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise InvalidRequest(
                f"Send the bytes as multipart/form-data, in a part named `{file_part}`."
            )
        self._file_part = file_part
        self.filename: str | None = None
        """For display only. Known once the file is found."""
        self.fields: dict[str, str] = {}
        """Complete once the rest is read."""
        self._body = body
        self._parts = 0
        self._part_name = ""
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._content = bytearray()
        self._field = bytearray()
        self._file_ended = self._form_ended = False
        with _translated():
            self._parser = self._new_parser(options[b"boundary"])

    async def find_file(self) -> None:
        while self.filename is None:
            if not await self._parse_more():
                name = self._file_part
                raise InvalidRequest(f"Missing required parameter: '{name}'.", param=name)

    async def read_file(self, size: int) -> bytes:
        """Exactly `size` bytes of the file, fewer only at its end."""
        while len(self._content) < size and not self._file_ended:
            if not await self._parse_more():
                raise InvalidRequest(
                    "The form ends in the middle of the file.", param=self._file_part
                )
        given = bytes(self._content[:size])
        del self._content[:size]
        return given

    async def read_rest(self) -> None:
        while await self._parse_more():
            pass
        if not self._form_ended:
            raise InvalidRequest("The form has no end: its last boundary is missing.")

    async def _parse_more(self) -> bool:
        """Parse the next piece of the body; whether there was one."""
        chunk = await anext(self._body, None)
        if chunk is None:
            return False
        with _translated():
            self._parser.write(chunk)
        return True

    # The parser's callbacks

    def _new_parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, a, b: self._header_name.extend(data[a:b]),
                "on_header_value": lambda data, a, b: self._header_value.extend(data[a:b]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._name_part,
                "on_part_data": self._take_data,
                "on_part_end": self._end_part,
                "on_end": self._end_form,
            },
        )

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise InvalidRequest(f"The form has more than {_MAX_PARTS} parts.")
        self._disposition = b""
        self._field.clear()

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _name_part(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._part_name = options.get(b"name", b"").decode(errors="replace")
        if not self._is_file:
            return
        if self.filename is not None:
            raise InvalidRequest("Upload one file at a time.", param=self._file_part)
        self.filename = display_name(options.get(b"filename", b"").decode(errors="replace"))

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._content += data[start:end]
            return
        self._field += data[start:end]
        if len(self._field) > _MAX_FIELD_BYTES:
            raise InvalidRequest(
                f"A form field has at most {_MAX_FIELD_BYTES} bytes.", param=self._part_name
            )

    def _end_part(self) -> None:
        if self._is_file:
            self._file_ended = True
        else:
            self.fields[self._part_name] = self._field.decode(errors="replace")

    def _end_form(self) -> None:
        self._form_ended = True

    @property
    def _is_file(self) -> bool:
        return self._part_name == self._file_part


def display_name(given: str) -> str:
    """The last part of a path, without what a terminal or a page could trip over."""
    last = PurePosixPath(given.replace("\\", "/")).name
    return "".join(c for c in last if c.isprintable())[:_MAX_FILENAME_CHARACTERS] or "file"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise InvalidRequest("The multipart form is malformed.") from error
