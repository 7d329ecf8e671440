"""Every method through the API and every process: the number that it exists for gets better."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.e2e.stack import RunningStack, running_stack
from tests.polling import poll_until
from tunery import Tunery, VerificationResult

_TERMINAL = {"succeeded", "failed", "cancelled"}
ANIMALS = ("fox", "owl", "cat")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[RunningStack]:
    environment = {"TUNERY_ENGINE_DTYPE": "float32", "TUNERY_STATE_SECONDS": "2"}
    data_dir = tmp_path_factory.mktemp("stack") / "data"
    with running_stack(data_dir, bases={"tiny": tiny_base}, environment=environment) as running:
        yield running


@pytest.fixture
def sdk(stack: RunningStack) -> Iterator[openai.OpenAI]:
    with stack.client() as client:
        yield client


def upload(sdk: openai.OpenAI, rows: Sequence[Mapping[str, Any]], name: str = "rows.jsonl") -> str:
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    return sdk.files.create(file=(name, content), purpose="fine-tune").id


def train(
    sdk: openai.OpenAI,
    method: str,
    rows: Sequence[Mapping[str, Any]],
    held_out: Sequence[Mapping[str, Any]] | None = None,
    *,
    model: str = "tiny",
    tuning: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **hyperparameters: Any,
) -> tuple[Any, list[Mapping[str, Any]]]:
    """The finished job, and its metrics, oldest first."""
    asked = {**(options or {}), "hyperparameters": hyperparameters}
    extra = {"method": {"type": method, method: asked}}
    job = sdk.fine_tuning.jobs.create(
        model=model,
        training_file=upload(sdk, rows),
        validation_file=upload(sdk, held_out, "held-out.jsonl") if held_out else None,
        seed=5,
        extra_body={**extra, **({"tuning": tuning} if tuning else {})},
    )
    poll_until(
        lambda: sdk.fine_tuning.jobs.retrieve(job.id).status in _TERMINAL,
        f"{job.id} ends",
        timeout_seconds=150,
    )
    job = sdk.fine_tuning.jobs.retrieve(job.id)
    events = list(sdk.fine_tuning.jobs.list_events(job.id, limit=1000))
    assert job.status == "succeeded", (job.error, [event.message for event in events])
    told: list[Mapping[str, Any]] = [
        event.data  # type: ignore[misc]
        for event in reversed(events)
        if event.type == "metrics"
    ]
    return job, told


def texts(start: int, stop: int) -> list[dict[str, Any]]:
    """In a script whose characters are two bytes each."""
    return [{"text": f"Η αλεπού {n} τρέχει."} for n in range(start, stop)]


def chats(start: int, stop: int) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"Which? {n}"},
                {"role": "assistant", "content": ("A red fox.", "A grey owl.")[n % 2]},
            ]
        }
        for n in range(start, stop)
    ]


def pairs(start: int, stop: int) -> list[dict[str, Any]]:
    return [
        {
            "input": {"messages": [{"role": "user", "content": f"Which? {n}"}]},
            "preferred_completion": [{"role": "assistant", "content": "A red fox."}],
            "non_preferred_completion": [{"role": "assistant", "content": "A grey owl."}],
        }
        for n in range(start, stop)
    ]


def prompts(start: int, stop: int) -> list[dict[str, Any]]:
    return [{"messages": [{"role": "user", "content": f"Which? {n}"}]} for n in range(start, stop)]


def labelled(start: int, stop: int) -> list[dict[str, Any]]:
    return [
        {"text": f"{ANIMALS[n % 3]} number {n}", "label": ANIMALS[n % 3]}
        for n in range(start, stop)
    ]


def classify(sdk: openai.OpenAI, model: str, given: Any) -> list[Mapping[str, Any]]:
    answer: Any = sdk.post("/classify", body={"model": model, "input": given}, cast_to=object)
    data: list[Mapping[str, Any]] = answer["data"]
    return data


@pytest.mark.parametrize(
    "tuning",
    [{"type": "head", "hidden_layers": [32]}, {"type": "lora", "rank": 4}],
    ids=["head", "lora"],
)
def test_a_classifier_tells_unseen_rows_apart(
    sdk: openai.OpenAI, tuning: Mapping[str, Any]
) -> None:
    job, told = train(
        sdk,
        "classification",
        labelled(0, 60),
        labelled(60, 81),
        tuning=tuning,
        batch_size=12,
        n_epochs=12,
        learning_rate=0.01,
    )

    assert told[-1]["full_valid_macro_f1"] > max(0.9, told[0]["full_valid_macro_f1"])
    report = json.loads(sdk.files.content(job.result_files[1]).text)
    assert sum(map(sum, report["confusion_matrix"])) == 21
    answers = classify(sdk, job.fine_tuned_model, ["fox number 99", "owl number 98"])
    assert [answer["label"] for answer in answers] == ["fox", "owl"]
    assert sum(answers[0]["probs"].values()) == pytest.approx(1, abs=1e-3)


def test_preferences_are_learned_and_generalise(sdk: openai.OpenAI) -> None:
    job, told = train(
        sdk, "dpo", pairs(0, 24), pairs(24, 32), batch_size=8, n_epochs=4, learning_rate=0.003
    )

    assert told[-1]["full_valid_preference_accuracy"] == 1.0
    assert told[-1]["full_valid_reward_margin"] > 0.1
    assert told[0]["full_valid_loss"] == pytest.approx(0.6931, abs=1e-3)
    rows: Any = sdk.get(f"/fine_tuning/jobs/{job.id}/rows", cast_to=object)
    assert rows["total"] == 24
    assert all(len(row["losses"]) == 4 for row in rows["data"])


@pytest.mark.slow  # 40 s; its twin without a model is in tests/jobs/runner/test_policies.py
def test_stages_chain_from_text_to_reinforcement(sdk: openai.OpenAI) -> None:
    read, told = train(
        sdk,
        "unsupervised",
        texts(0, 40),
        texts(40, 48),
        tuning={"type": "full"},
        n_epochs=10,
        batch_size=4,
        packing=False,
        learning_rate=0.003,
    )
    assert told[-1]["full_valid_perplexity"] < told[0]["full_valid_perplexity"] / 2
    stream = sdk.completions.create(
        model=read.fine_tuned_model, prompt="Η αλε", max_tokens=60, temperature=0, stream=True
    )
    said = "".join(chunk.choices[0].text for chunk in stream)
    assert said.startswith("πού")
    assert "\ufffd" not in said

    taught, told = train(
        sdk,
        "supervised",
        chats(0, 24),
        chats(24, 32),
        model=read.fine_tuned_model,
        n_epochs=15,
        batch_size=8,
        learning_rate=0.005,
    )
    assert told[-1]["full_valid_loss"] < told[0]["full_valid_loss"]
    assert taught.fine_tuned_model.startswith("ft:tiny:")

    scorer, told = train(
        sdk,
        "reward_model",
        pairs(0, 24),
        pairs(24, 32),
        model=taught.fine_tuned_model,
        n_epochs=4,
        batch_size=8,
        learning_rate=0.005,
    )
    assert told[-1]["full_valid_preference_accuracy"] == 1.0
    better, worse = (
        classify(
            sdk,
            scorer.fine_tuned_model,
            [{"role": "user", "content": "Which? 99"}, {"role": "assistant", "content": answer}],
        )[0]["score"]
        for answer in ("A red fox.", "A grey owl.")
    )
    assert better > worse

    job, told = train(
        sdk,
        "rlhf",
        prompts(0, 32),
        prompts(32, 40),
        model=taught.fine_tuned_model,
        options={"reward_model": scorer.fine_tuned_model},
        n_epochs=4,
        batch_size=16,
        rollout_batch_size=16,
        ppo_epochs=2,
        max_completion_tokens=24,
        learning_rate=0.002,
        eval_steps=8,
    )
    first, last = told[0]["valid_reward_mean"], told[-1]["valid_reward_mean"]
    assert last > first
    learned = [data for data in told if "ratio" in data]
    assert learned[0]["ratio"] == pytest.approx(1, abs=1e-6), "before the first step"
    assert {"kl", "value_loss", "policy_loss", "clip_fraction"} <= learned[0].keys()
    assert all(data.get("sampler_trainer_kl", 0) < 1e-6 for data in told)
    receipt: Any = sdk.get(f"/fine_tuning/jobs/{job.id}/receipt", cast_to=object)
    assert receipt["engine"]["dtype"] == "float32"
    assert receipt["start_from"]["model"] == taught.fine_tuned_model


def test_graded_answers_get_better(sdk: openai.OpenAI) -> None:
    taught, _ = train(
        sdk, "supervised", chats(0, 24), n_epochs=20, batch_size=8, learning_rate=0.005
    )
    grader = {
        "type": "string_check",
        "name": "fox",
        "input": "{{sample.output_text}}",
        "reference": "fox",
        "operation": "like",
    }

    _, told = train(
        sdk,
        "reinforcement",
        prompts(0, 16),
        prompts(16, 24),
        model=taught.fine_tuned_model,
        options={"grader": grader},
        n_epochs=6,
        batch_size=8,
        samples_per_prompt=4,
        eval_interval=12,
        eval_samples=4,
        max_completion_tokens=24,
        learning_rate=0.003,
    )

    assert told[-1]["valid_reward_mean"] > told[0]["valid_reward_mean"]
    assert told[-1]["details"]["samples"][0]["answer"]


def test_a_job_that_ran_alone_verifies_as_equal_and_a_wrong_receipt_does_not(
    stack: RunningStack, sdk: openai.OpenAI
) -> None:
    job, told = train(sdk, "supervised", chats(0, 24), n_epochs=2, batch_size=6)
    with (
        httpx2.Client(timeout=60, trust_env=False) as http,
        Tunery(
            base_url=stack.connection["base_url"],
            api_key=stack.connection["api_key"],
            http_client=http,
        ) as client,
    ):
        jobs = client.fine_tuning.jobs
        receipt = jobs.receipt(job.id)

        def verify(**given: Any) -> VerificationResult:
            begun = jobs.verifications.create(job.id, steps=4, **given)
            ended = jobs.verifications.wait(job.id, begun.id, poll_seconds=0.2, timeout_seconds=120)
            assert ended.result is not None, ended.error
            return ended.result

        found = verify()
        assert (found.verdict, found.unmixed, found.steps) == ("equal", True, 4)
        assert [step.replayed for step in found.losses] == [
            data["train_loss"] for data in told if data["step"]
        ][:4]
        assert found.weights is not None
        assert found.weights.is_equal
        tampered = verify(receipt={**receipt.model_dump(), "seed": receipt.seed + 1})
        assert tampered.verdict == "different"
        assert [each.name for each in tampered.differences] == ["seed"]
