"""What proves an export: it is loaded back the way its users load it, and must compute, render and
end as the served model does."""

import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from service.core.engine_protocol import Comparison, Dialogue, ExportFormat
from service.core.errors import ExportRefused
from service.engine.bases.gguf import PRE_TOKENIZERS
from service.engine.export.gguf_file import FILE_NAME, pre_tokenizer_name
from service.engine.export.task import ExportTask, TaskFolder
from service.engine.probing.comparing import compare

_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def certify(folder: TaskFolder, dtype: torch.dtype) -> dict[str, Any]:
    """Of what lies in `folder.written`, whose weights are stored in `dtype`. Raises ExportRefused,
    with the numbers, for an export that is not the served model."""
    task = folder.task
    comparison = _compare(folder, task, dtype)
    if not comparison.is_parity:
        raise ExportRefused(
            f"the export does not compute what the served model computes: its logits differ by "
            f"{comparison.median_difference:.2g} from the served model's and by "
            f"{comparison.difference_from_base:.2g} from the base's, and {comparison.bound:.2g} "
            "is allowed; no file was made of it"
        )
    certificate: dict[str, Any] = {
        "format": task.format.value,
        "base": task.base,
        "base_digest": task.base_digest,
        "adapter_digest": task.delta_digest,
        "loaded_with": _loaders(task.format),
        "prompts": len(task.dialogues),
        "logits": comparison.model_dump(mode="json"),
    }
    if task.format is not ExportFormat.PEFT:  # whose tokenizer is the base's
        tokenizer = _tokenizer(folder, task)
        certificate["template"] = _check_template(tokenizer, task.dialogues)
        certificate["end_tokens"] = _check_end(tokenizer, task.end_tokens)
    return certificate


def _loaders(format: ExportFormat) -> dict[str, str]:
    beside = {ExportFormat.PEFT: ["peft"], ExportFormat.GGUF: ["gguf"]}.get(format, [])
    return {name: version(name) for name in ["transformers", *beside]}


def _compare(folder: TaskFolder, task: ExportTask, dtype: torch.dtype) -> Comparison:
    logits = load_file(folder.logits)
    exported = _logits(_model(folder, task), [d.tokens for d in task.dialogues])
    if exported.shape != logits["served"].shape or not bool(exported.isfinite().all()):
        raise ExportRefused("the export has other tokens than the served model, or no numbers")
    stored = str(dtype).removeprefix("torch.")
    return compare(logits["served"], exported, logits["base"], formats=(task.dtype, stored))


def _model(folder: TaskFolder, task: ExportTask) -> torch.nn.Module:
    """In fp32, as its users would load it."""
    options: dict[str, Any] = {**_LOCAL, "dtype": torch.float32}
    model: Any
    match task.format:
        case ExportFormat.PEFT:
            base = AutoModelForCausalLM.from_pretrained(
                task.base_folder, use_safetensors=True, **options
            )
            model = PeftModel.from_pretrained(base, str(folder.written))
        case ExportFormat.MERGED:
            model = AutoModelForCausalLM.from_pretrained(
                folder.written, use_safetensors=True, **options
            )
        case ExportFormat.GGUF:
            with redirect_stderr(io.StringIO()):  # a progress bar that no switch turns off
                model = AutoModelForCausalLM.from_pretrained(
                    folder.written, gguf_file=FILE_NAME, **options
                )
    module: torch.nn.Module = model.eval()
    return module


@torch.inference_mode()
def _logits(model: torch.nn.Module, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    parts = [model(input_ids=torch.tensor([row]), use_cache=False).logits[0] for row in rows]
    return torch.cat(parts).float()


def _tokenizer(folder: TaskFolder, task: ExportTask) -> PreTrainedTokenizerBase:
    if task.format is ExportFormat.MERGED:
        plain: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder.written, **_LOCAL)
        return plain
    with redirect_stderr(io.StringIO()):
        read: Any = AutoTokenizer.from_pretrained(folder.written, gguf_file=FILE_NAME, **_LOCAL)
    # transformers ignores the file's rule for splitting text, which llama.cpp follows.
    name = pre_tokenizer_name(Path(task.base_folder))
    read.backend_tokenizer.pre_tokenizer = PRE_TOKENIZERS[name]()
    tokenizer: PreTrainedTokenizerBase = read
    return tokenizer


def _check_template(
    tokenizer: PreTrainedTokenizerBase, dialogues: Sequence[Dialogue]
) -> dict[str, int]:
    for dialogue in dialogues:
        rendered = _render(tokenizer, dialogue)
        if rendered != list(dialogue.tokens):
            raise ExportRefused(
                "the export's tokenizer and template give other tokens than the service for "
                f"{list(dialogue.messages)!r}; no file was made of it"
            )
    return {"prompts": len(dialogues), "identical": len(dialogues)}


def _render(tokenizer: PreTrainedTokenizerBase, dialogue: Dialogue) -> list[int]:
    rendered: Any = tokenizer.apply_chat_template(
        list(dialogue.messages), add_generation_prompt=True, tokenize=True, return_dict=False
    )
    return list(rendered)


def _check_end(tokenizer: PreTrainedTokenizerBase, served: Sequence[int]) -> dict[str, Any]:
    end = tokenizer.eos_token_id
    if end not in served:
        raise ExportRefused(
            f"the export ends a turn with token {end!r}, the served model with {list(served)}; "
            "no file was made of it"
        )
    return {"export": end, "served": list(served)}
