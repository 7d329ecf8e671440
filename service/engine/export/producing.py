"""Write an export, prove it, pack it: what the export's process does."""

import json
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from service.core.engine_protocol import ExportFormat
from service.engine.export.certificate import certify
from service.engine.export.gguf_file import FILE_NAME, write_gguf
from service.engine.export.merged_folder import write_merged
from service.engine.export.merging import LoraMerge, Merge
from service.engine.export.task import TaskFolder

Write = Callable[[Path, Merge, Path], torch.dtype]
"""(base folder, delta, folder to write into): the format of the weights. Raises ExportRefused."""

WRITERS: Mapping[ExportFormat, Write] = {
    ExportFormat.MERGED: write_merged,
    ExportFormat.GGUF: write_gguf,
}


def produce(
    folder: TaskFolder,
    report: Callable[[float], None],
    writers: Mapping[ExportFormat, Write] = WRITERS,
) -> None:
    """`report` hears how far it is, from 0 to 1. Raises ExportRefused; then there is no
    artefact."""
    task = folder.task
    folder.written.mkdir()
    if task.format is ExportFormat.PEFT:
        shutil.copytree(folder.adapter, folder.written, dirs_exist_ok=True)
        dtype = torch.float32
    else:
        merge = LoraMerge.from_folder(folder.adapter)
        dtype = writers[task.format](Path(task.base_folder), merge, folder.written)
    report(0.5)
    certificate = json.dumps(certify(folder, dtype), indent=2)
    report(0.9)
    if task.format is ExportFormat.GGUF:
        os.replace(folder.written / FILE_NAME, folder.artefact)
    else:
        (folder.written / "certificate.json").write_text(certificate)
        _pack(folder.written, folder.artefact)
    folder.certificate.write_text(certificate)


def _pack(folder: Path, target: Path) -> None:
    with tarfile.open(target, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, arcname=file.name)
