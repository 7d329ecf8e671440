"""What the engine hands to the process that writes an export: a folder.

`task.json` says what to do, `adapter/` holds the delta as PEFT files, `logits.safetensors` what the
served model computes. The process leaves `artefact` and `certificate.json`, or `refusal.json`.
"""

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file

from service.core.engine_protocol import Dialogue, ErrorBody, ExportFormat, ExportRequest
from service.core.engine_protocol.models import Message
from service.engine.export.peft_files import adapter_config, adapter_tensors
from service.engine.export.reference import Reference
from service.engine.parts import LoadedBase

_FORMAT = {"format": "pt"}


class ExportTask(Message):
    """`task.json`."""

    format: ExportFormat
    base: str
    base_digest: str
    base_folder: str
    dtype: str
    """In which the served logits were computed."""
    delta_digest: str
    dialogues: tuple[Dialogue, ...]
    end_tokens: tuple[int, ...]


@dataclass(frozen=True)
class TaskFolder:
    """Paths within."""

    path: Path

    @property
    def task(self) -> ExportTask:
        return ExportTask.model_validate_json((self.path / "task.json").read_bytes())

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def logits(self) -> Path:
        return self.path / "logits.safetensors"

    @property
    def written(self) -> Path:
        """A folder: the export's files before they are packed."""
        return self.path / "written"

    @property
    def artefact(self) -> Path:
        return self.path / "artefact"

    @property
    def certificate(self) -> Path:
        return self.path / "certificate.json"

    @property
    def refusal(self) -> Path:
        return self.path / "refusal.json"

    def refuse(self, error: ErrorBody) -> None:
        self.refusal.write_text(error.model_dump_json())


def write_task(
    path: Path, request: ExportRequest, base: LoadedBase, reference: Reference
) -> TaskFolder:
    """Everything that the process needs; `path` is an empty folder."""
    assert base.folder is not None
    task = ExportTask(
        format=request.format,
        base=base.name,
        base_digest=base.digest,
        base_folder=str(base.folder),
        dtype=str(base.dtype).removeprefix("torch."),
        delta_digest=reference.weights.digest,
        dialogues=request.dialogues,
        end_tokens=request.end_tokens,
    )
    folder = TaskFolder(path)
    folder.adapter.mkdir()
    config = adapter_config(reference.weights, base)
    (folder.adapter / "adapter_config.json").write_bytes(config)
    weights = folder.adapter / "adapter_model.safetensors"
    save_file(adapter_tensors(reference.weights), weights, metadata=_FORMAT)
    save_file({"served": reference.served, "base": reference.base}, folder.logits)
    (path / "task.json").write_text(task.model_dump_json())
    return folder
