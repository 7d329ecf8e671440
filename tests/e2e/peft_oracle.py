"""What plain transformers and PEFT compute from the stored files, in a process of its own.

usage: python -m tests.e2e.peft_oracle BASE_FOLDER MAX_TOKENS < prompts.json
The input is [[adapter folder or null, [token, …]], …]; the output the greedy answers' tokens.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.stack import ROOT

Prompt = tuple[Path | None, Sequence[int]]


def greedy_answers(base: Path, prompts: Sequence[Prompt], *, max_tokens: int) -> list[list[int]]:
    """Greedy tokens in fp32, the end-of-turn token left out."""
    asked = json.dumps([[str(a) if a else None, list(tokens)] for a, tokens in prompts])
    command = [sys.executable, "-m", "tests.e2e.peft_oracle", str(base), str(max_tokens)]
    ran = subprocess.run(command, input=asked, capture_output=True, text=True, check=True, cwd=ROOT)
    answers: list[list[int]] = json.loads(ran.stdout.splitlines()[-1])
    return answers


def _main(base: str, max_tokens: int) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    answers = []
    for adapter, tokens in json.load(sys.stdin):
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        if adapter:
            model = PeftModel.from_pretrained(model, adapter).eval()
        end = model.config.eos_token_id
        prompt = torch.tensor([tokens])
        output = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=max_tokens,
            pad_token_id=end,
        )
        answers.append([t for t in output[0, len(tokens) :].tolist() if t != end])
    sys.stdout.write("\n" + json.dumps(answers))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
