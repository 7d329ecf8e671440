"""An adapter trained with plain PEFT, by somebody who has never heard of this service.

usage: python -m tests.e2e.trained_elsewhere BASE_FOLDER ADAPTER_FOLDER < row.json
The row is [prompt's tokens, answer's tokens].
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.stack import ROOT


def train_elsewhere(base: Path, folder: Path, prompt: Sequence[int], answer: Sequence[int]) -> Path:
    """In a process of its own; until the answer is known by heart."""
    command = [sys.executable, "-m", "tests.e2e.trained_elsewhere", str(base), str(folder)]
    row = json.dumps([list(prompt), list(answer)])
    subprocess.run(command, input=row, capture_output=True, text=True, check=True, cwd=ROOT)
    return folder


def _main(base: str, folder: str) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    prompt, answer = json.load(sys.stdin)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
    tokens = torch.tensor([prompt + answer])
    labels = torch.tensor([[-100] * len(prompt) + answer])
    for _ in range(200):
        loss = adapted(input_ids=tokens, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss < 0.01:
            break
    adapted.save_pretrained(folder)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
