"""One supervised LoRA run of TRL on given rows, as the peer of a job here; prints a line of JSON.

Run by `against_trl.py` in an environment of its own, and by nothing else.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.time()

import torch  # noqa: E402 - the clock counts the imports, as a user waits for them too
from datasets import Dataset  # noqa: E402
from peft import LoraConfig  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402


class Clock(TrainerCallback):
    """When the first step began and the last one ended."""

    first_step = last_step = 0.0

    def on_step_begin(self, *_arguments: Any, **_options: Any) -> None:
        self.first_step = self.first_step or time.time()

    def on_step_end(self, *_arguments: Any, **_options: Any) -> None:
        self.last_step = time.time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="folder of the base, in bf16")
    parser.add_argument("--rows", required=True, help="JSONL with `messages`")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--options", default="{}", help="further members of SFTConfig, as JSON")
    arguments = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.base)
    lines = Path(arguments.rows).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line)["messages"] for line in lines]
    clock = Clock()
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(arguments.base, dtype=torch.bfloat16),
        args=SFTConfig(
            output_dir="/tmp/trl-peer",
            per_device_train_batch_size=arguments.batch_size,
            num_train_epochs=1,
            learning_rate=1e-3,
            bf16=True,
            use_cpu=not torch.cuda.is_available(),
            gradient_checkpointing=False,
            save_strategy="no",
            report_to=[],
            **json.loads(arguments.options),
        ),
        train_dataset=Dataset.from_list([{"messages": messages} for messages in rows]),
        processing_class=tokenizer,
        callbacks=[clock],
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"),
    )
    trainer.train()
    tokens = sum(len(tokenizer.apply_chat_template(messages)["input_ids"]) for messages in rows)
    measured = {
        "tokens": tokens,
        "training_seconds": clock.last_step - clock.first_step,
        "process_seconds": time.time() - STARTED,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    sys.stdout.write("\n" + json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()
