"""A few steps of one of TRL's trainers, on weights and rows that are given.

usage: python trl_steps.py SPEC.json

Run by the interpreter of `tests/oracles/venv.py`. SPEC: method (sft, dpo, reward), model (folder),
adapter (folder of PEFT files to begin with), steps, learning_rate, rows, out (folder). Writes
`report.json`: the rows as TRL tokenised them, loss and gradient norm of each step; and
`final.safetensors`: every trained weight under its name in PEFT.
"""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl import (
    DPOConfig,
    DPOTrainer,
    RewardConfig,
    RewardTrainer,
    SFTConfig,
    SFTTrainer,
)

TRAINERS = {
    "sft": (SFTTrainer, SFTConfig),
    "dpo": (DPOTrainer, DPOConfig),
    "reward": (RewardTrainer, RewardConfig),
}


class Steps(TrainerCallback):
    """Keeps what each step logs."""

    def __init__(self):
        self.losses = []
        self.norms = []

    def on_log(self, *_positional, logs=None, **_named):
        if logs and "loss" in logs:
            self.losses.append(logs["loss"])
            self.norms.append(logs["grad_norm"])


def load_model(spec):
    """The base with the adapter of the spec, both in fp32."""
    config = json.loads((Path(spec["adapter"]) / "adapter_config.json").read_text())
    is_reward = spec["method"] == "reward"
    if is_reward:
        base = AutoModelForSequenceClassification.from_pretrained(
            spec["model"], num_labels=1, dtype=torch.float32, pad_token_id=spec["pad"]
        )
        base.score.weight.data.zero_()
    else:
        base = AutoModelForCausalLM.from_pretrained(spec["model"], dtype=torch.float32)
    lora = LoraConfig(
        r=config["r"],
        lora_alpha=config["lora_alpha"],
        target_modules=config["target_modules"],
        task_type="SEQ_CLS" if is_reward else "CAUSAL_LM",
        modules_to_save=["score"] if is_reward else None,
    )
    model = get_peft_model(base, lora)
    parameters = dict(model.named_parameters())
    for name, tensor in load_file(Path(spec["adapter"]) / "adapter_model.safetensors").items():
        parameters[name.replace(".weight", ".default.weight")].data.copy_(tensor)
    return model


def main():
    spec = json.loads(Path(sys.argv[1]).read_text())
    out = Path(spec["out"])
    trainer_class, config_class = TRAINERS[spec["method"]]
    options = {"loss_type": "nll"} if spec["method"] == "sft" else {}
    if spec["method"] == "dpo":
        options["beta"] = spec["beta"]
    arguments = config_class(
        output_dir=str(out / "trainer"),
        per_device_train_batch_size=len(spec["rows"]),
        max_steps=spec["steps"],
        learning_rate=spec["learning_rate"],
        lr_scheduler_type="constant",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        max_length=None,
        **options,
    )
    steps = Steps()
    model = load_model(spec)
    trainer = trainer_class(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(spec["rows"]),
        processing_class=AutoTokenizer.from_pretrained(spec["model"]),
        callbacks=[steps],
    )
    rows = [dict(row) for row in trainer.train_dataset]
    trainer.train()
    final = {
        name.replace(".default", ""): parameter.detach().clone().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    save_file(final, out / "final.safetensors")
    report = {"rows": rows, "losses": steps.losses, "norms": steps.norms}
    (out / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
