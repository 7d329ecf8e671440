"""Showing rows as a job would train on them."""

import json
from collections.abc import Iterable, Iterator

from service.api.chat.codecs import CodecCache
from service.api.previews.schemas import (
    CreatePreview,
    CutObject,
    Preview,
    PreviewRow,
    SequenceObject,
)
from service.api.previews.window import LineWindow
from service.api.reports.schemas import FindingObject
from service.api.reports.service import known_method
from service.core.database import Database
from service.core.datasets import (
    EncodedRow,
    Examination,
    LengthLimit,
    Report,
    Row,
    RowKind,
    encode_row,
    examine,
)
from service.core.datasets.formats import as_jsonl
from service.core.domain.access import Principal
from service.core.domain.files import File
from service.core.domain.models import Base
from service.core.errors import FileNotFound, UnknownFile
from service.core.repositories.files import FileRepository
from service.core.repositories.models import ModelRepository
from service.core.storage import ObjectNotFound, ObjectStore, StoredObjectSource
from service.core.text import TextCodec, TrainingTokens


class PreviewService:
    """Blocks: reads files, tokenises."""

    def __init__(self, database: Database, store: ObjectStore, codecs: CodecCache) -> None:
        self._database = database
        self._store = store
        self._codecs = codecs

    def preview(self, principal: Principal, request: CreatePreview) -> Preview:
        """Raises ModelNotFound, UnknownFile, InvalidRequest, EngineUnavailable before an engine
        has published the model's text, and StorageUnavailable."""
        method = known_method(request.method.type, param="method.type")
        base, file = self._find(principal, request)
        codec = self._codecs.get(base)
        limit = LengthLimit.of(request.hyperparameters, method, base.context_length)
        examination = Examination(RowKind.of_method(method), codec, limit)
        window, report = _window(request), Report()
        chunks = self._stored(file, examination) if file else _given(request.rows or ())
        rows: dict[int, list[SequenceObject]] = {}
        for row, encoded in examine(window.lines(chunks), examination, report):
            rows.setdefault(row.line, []).extend(_sequences(row, encoded, codec, request))
        return Preview(
            model=base.name,
            method=method,
            max_seq_length=limit.tokens,
            rows=[PreviewRow(line=line, sequences=sequences) for line, sequences in rows.items()],
            findings=[FindingObject.from_domain(finding) for finding in report.kept],
            has_more=window.has_more,
        )

    def _find(self, principal: Principal, request: CreatePreview) -> tuple[Base, File | None]:
        file_id = request.training_file
        with self._database.snapshot() as connection:
            base = ModelRepository(connection, principal.scope).resolve(request.model).base
            if file_id is None:
                return base, None
            try:
                return base, FileRepository(connection, principal.scope).get(file_id)
            except FileNotFound as error:
                raise UnknownFile(error.message, param="training_file") from None

    def _stored(self, file: File, examination: Examination) -> Iterator[bytes]:
        source = StoredObjectSource(self._store, file.key, file.bytes)
        try:
            yield from as_jsonl(source, kind=examination.kind)
        except ObjectNotFound:  # deleted since it was looked up
            message = f"No such File object: {file.id}"
            raise UnknownFile(message, param="training_file") from None


def _window(request: CreatePreview) -> LineWindow:
    if request.rows is not None:
        return LineWindow(first=1, limit=len(request.rows))
    return LineWindow(first=request.first_line, limit=request.limit)


def _given(rows: Iterable[object]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(row).encode() + b"\n"


def _sequences(
    row: Row, encoded: EncodedRow, codec: TextCodec, request: CreatePreview
) -> Iterator[SequenceObject]:
    whole = encode_row(row, codec) if request.over_length == "truncate" else encoded
    for name, sequence in encoded.items():
        texts = [codec.token_bytes(token) for token in sequence.tokens]
        yield SequenceObject(
            name=name,
            rendered=_text(b"".join(texts)),
            token_ids=list(sequence.tokens),
            token_texts=[_text(text) for text in texts],
            weights=list(sequence.weights),
            num_tokens=len(sequence.tokens),
            num_trained_tokens=sequence.trained,
            cut=_cut(whole[name], sequence, codec),
        )


def _cut(whole: TrainingTokens, kept: TrainingTokens, codec: TextCodec) -> CutObject | None:
    lost = whole.tokens[len(kept.tokens) :]
    if not lost:
        return None
    return CutObject(tokens=len(lost), text=_text(b"".join(map(codec.token_bytes, lost))))


def _text(content: bytes) -> str:
    return content.decode(errors="replace")
