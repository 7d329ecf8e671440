"""The README.md beside an adapter."""

import json

from service.engine.parts import AdapterWeights


def model_card(weights: AdapterWeights, *, base: str, job: str, step: int) -> str:
    """Markdown with the front matter that model hubs read."""
    tuning = weights.tuning
    layers = sorted({module.rpartition(".")[2] for module in weights.modules})
    scale = "alpha / √rank" if tuning.use_rslora else "alpha / rank"
    return f"""---
base_model: {json.dumps(base)}
library_name: peft
pipeline_tag: text-generation
tags:
- lora
---

# LoRA adapter for {base}

Written by fine-tuning job `{job}` after optimizer step {step}.

| | |
|---|---|
| base model | {base} |
| rank | {tuning.rank} |
| alpha | {tuning.alpha:g} (weights are scaled by {scale}) |
| dropout in training | {tuning.dropout:g} |
| adapted layers | {", ".join(layers)} |

## Load it

`base_folder` is the folder or hub name of the base model above.

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained(base_folder)
model = PeftModel.from_pretrained(base, "path/to/this/folder")
```

The tokenizer and the chat template are those of the base model.
"""
