"""Imports and exports of models."""

from collections.abc import Mapping

from tunery._calls.parts import cursor, reading, segment
from tunery._flow import Call
from tunery._types import ModelExport, ModelImport, Page


def create_import(
    *,
    base: str,
    file_id: str | None,
    files: Mapping[str, str] | None,
    suffix: str | None,
    base_digest: str | None,
) -> Call[ModelImport]:
    request = {
        "base": base,
        "file_id": file_id,
        "files": None if files is None else dict(files),
        "suffix": suffix,
        "base_digest": base_digest,
    }
    body = {name: value for name, value in request.items() if value is not None}
    return Call("POST", "models/imports", reading(ModelImport), body=body)


def list_imports(*, limit: int | None = None, after: str | None = None) -> Call[Page[ModelImport]]:
    query = cursor(limit=limit, after=after)
    return Call("GET", "models/imports", reading(Page[ModelImport]), query=query)


def retrieve_import(import_id: str) -> Call[ModelImport]:
    return Call("GET", f"models/imports/{segment(import_id)}", reading(ModelImport))


def cancel_import(import_id: str) -> Call[ModelImport]:
    return Call("POST", f"models/imports/{segment(import_id)}/cancel", reading(ModelImport))


def create_export(model: str, *, format: str) -> Call[ModelExport]:
    return Call("POST", _exports(model), reading(ModelExport), body={"format": format})


def list_exports(
    model: str, *, limit: int | None = None, after: str | None = None
) -> Call[Page[ModelExport]]:
    query = cursor(limit=limit, after=after)
    return Call("GET", _exports(model), reading(Page[ModelExport]), query=query)


def retrieve_export(model: str, export_id: str) -> Call[ModelExport]:
    return Call("GET", f"{_exports(model)}/{segment(export_id)}", reading(ModelExport))


def cancel_export(model: str, export_id: str) -> Call[ModelExport]:
    return Call("POST", f"{_exports(model)}/{segment(export_id)}/cancel", reading(ModelExport))


def _exports(model: str) -> str:
    return f"models/{segment(model)}/exports"
