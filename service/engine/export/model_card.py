"""The README.md beside a delta."""

import json

from service.engine.parts import AdapterWeights, DeltaWeights, HeadWeights, OverlayWeights


def model_card(delta: DeltaWeights, *, base: str, job: str, step: int) -> str:
    """Markdown with the front matter that model hubs read."""
    rows = [("base model", base)]
    how = []
    if delta.overlay is not None:
        rows += _overlay_rows(delta.overlay)
        how.append(_LOAD_OVERLAY)
    if delta.adapter is not None:
        rows += _adapter_rows(delta.adapter)
        how.append(_LOAD_ADAPTER if delta.overlay is None else _LOAD_ADAPTER_ON_IT)
    if delta.head is not None:
        rows += _head_rows(delta.head)
        how.append(_LOAD_HEAD)
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    library = "peft" if delta.adapter is not None else "transformers"
    tag = "tags:\n- lora\n" if delta.adapter is not None else ""
    return f"""---
base_model: {json.dumps(base)}
library_name: {library}
pipeline_tag: text-generation
{tag}---

# {_title(delta)} for {base}

Written by fine-tuning job `{job}` after optimizer step {step}.

| | |
|---|---|
{table}

## Load it

`base_folder` is the folder or hub name of the base model above.

{"".join(how)}
The tokenizer and the chat template are those of the base model.
"""


def _title(delta: DeltaWeights) -> str:
    names = []
    if delta.overlay is not None:
        names.append("replaced weights")
    if delta.adapter is not None:
        names.append("DoRA adapter" if delta.adapter.magnitudes else "LoRA adapter")
    if delta.head is not None:
        names.append(f"{delta.head.spec.kind} head")
    title = " with ".join(names)
    return title[:1].upper() + title[1:]


def _adapter_rows(adapter: AdapterWeights) -> list[tuple[str, str]]:
    tuning = adapter.tuning
    layers = sorted({module.rpartition(".")[2] for module in adapter.modules})
    scale = "alpha / √rank" if tuning.use_rslora else "alpha / rank"
    return [
        ("rank", str(tuning.rank)),
        ("alpha", f"{tuning.alpha:g} (weights are scaled by {scale})"),
        ("dropout in training", f"{tuning.dropout:g}"),
        ("adapted layers", ", ".join(layers)),
    ]


def _overlay_rows(overlay: OverlayWeights) -> list[tuple[str, str]]:
    numbers = sum(tensor.numel() for tensor in overlay.tensors.values())
    return [("replaced weights", f"{len(overlay.tensors)} tensors, {numbers:,} numbers")]


def _head_rows(head: HeadWeights) -> list[tuple[str, str]]:
    labels = ", ".join(head.spec.labels) or "one number"
    return [("head", f"{head.spec.kind}: {labels}")]


_LOAD_ADAPTER = """```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained(base_folder)
model = PeftModel.from_pretrained(base, "path/to/this/folder")
```

"""
_LOAD_OVERLAY = """`overlay.safetensors` replaces weights of the base by name:

```python
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained(base_folder)
model.load_state_dict(load_file("overlay.safetensors"), strict=False)
```

"""
_LOAD_ADAPTER_ON_IT = """The adapter belongs on top of them:

```python
from peft import PeftModel

model = PeftModel.from_pretrained(model, "path/to/this/folder")
```

"""
_LOAD_HEAD = """`head.safetensors` holds the layers of the head, in the order of their names;
`head.json` says what they read and give.

"""
