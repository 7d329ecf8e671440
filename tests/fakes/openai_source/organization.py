"""What an organisation has: jobs that went well and ill, data sets that are there and gone."""

import json
from dataclasses import dataclass, field
from typing import Any

BASE = "gpt-4o-mini-2024-07-18"
FIRST_MODEL = f"ft:{BASE}:acme:desk:AbC123"
SECOND_MODEL = f"ft:{BASE}:acme::XyZ789"


@dataclass
class Organization:
    """Newest last, as it came about; the server lists the newest first."""

    jobs: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Filename and content by id."""
    checkpoints: dict[str, list[str]] = field(default_factory=dict)
    """Names by job."""
    webhooks: list[str] = field(default_factory=list)


def rows(topic: str, count: int, *, padding: int = 0) -> bytes:
    """Chat rows."""
    return b"".join(
        json.dumps(
            {
                "messages": [
                    {"role": "system", "content": f"You know {topic}."},
                    {"role": "user", "content": f"Question {number} on {topic}? {'x' * padding}"},
                    {"role": "assistant", "content": f"Fact {number}.", "weight": 1},
                ]
            }
        ).encode()
        + b"\n"
        for number in range(count)
    )


def job(id: str, **members: Any) -> dict[str, Any]:
    """As OpenAI tells of one that succeeded."""
    return {
        "id": id,
        "object": "fine_tuning.job",
        "created_at": 1_700_000_000,
        "finished_at": 1_700_000_900,
        "model": BASE,
        "fine_tuned_model": None,
        "organization_id": "org-acme",
        "status": "succeeded",
        "hyperparameters": {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 1.8},
        "method": {
            "type": "supervised",
            "supervised": {
                "hyperparameters": {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 1.8}
            },
            "dpo": None,
            "reinforcement": None,
        },
        "training_file": "file-desk",
        "validation_file": None,
        "result_files": [],
        "trained_tokens": 1000,
        "error": {},
        "seed": 7,
        "estimated_finish": None,
        "integrations": [],
        "metadata": None,
        "user_provided_suffix": None,
        "shared_with_openai": False,
        **members,
    }


def acme() -> Organization:
    """Two jobs that can be carried over, and one of each kind that cannot."""
    return Organization(
        jobs=[
            job(
                "ftjob-first",
                fine_tuned_model=FIRST_MODEL,
                validation_file="file-held-out",
                user_provided_suffix="desk",
                metadata={"team": "support"},
            ),
            job(
                "ftjob-failed",
                status="failed",
                error={"code": "invalid", "message": "Line 3 is no JSON.", "param": None},
            ),
            job(
                "ftjob-dataless",
                training_file="file-gone",
                fine_tuned_model=f"ft:{BASE}:acme::Gone01",
            ),
            job(
                "ftjob-baseless",
                model="gpt-4.1-2025-04-14",
                fine_tuned_model="ft:gpt-4.1-2025-04-14:acme::Big001",
            ),
            job(
                "ftjob-second",
                fine_tuned_model=SECOND_MODEL,
                training_file="file-long",
                seed=8,
                integrations=[{"type": "wandb", "wandb": {"project": "p"}}],
            ),
            job("ftjob-orphan", model=f"ft:{BASE}:acme::Never1", fine_tuned_model="ft:x:acme::Y1"),
            job("ftjob-running", status="running", finished_at=None),
        ],
        files={
            "file-desk": ("desk.jsonl", rows("desks", 14)),
            "file-held-out": ("held out.jsonl", rows("chairs", 3)),
            "file-long": ("long.jsonl", rows("lamps", 12, padding=20_000)),
            "file-spare": ("spare.jsonl", rows("beds", 2)),
        },
        checkpoints={"ftjob-first": [FIRST_MODEL, f"{FIRST_MODEL}:ckpt-step-4"]},
        webhooks=["https://hooks.example.com/acme"],
    )
