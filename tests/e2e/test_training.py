"""From a data set to a tuned model that answers, through the official SDK and every process."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import psutil  # type: ignore[import-untyped]
import pytest
from openai.types.fine_tuning import FineTuningJob

from service.core.settings import Settings
from service.core.storage import ObjectStore
from service.core.text import TextAssets, TextCodec
from tests.e2e.peft_oracle import Prompt, greedy_answers
from tests.e2e.stack import RunningStack, running_stack
from tests.polling import poll_until

QUESTION = "Which animal is it?"
MAX_TOKENS = 24
_TERMINAL = {"succeeded", "failed", "cancelled"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[RunningStack]:
    """fp32, so that greedy answers can be compared with PEFT's; a short lease, so that the work
    of a killed worker is soon taken up again."""
    environment = {"TUNERY_ENGINE_DTYPE": "float32", "TUNERY_LEASE_SECONDS": "6"}
    data_dir = tmp_path_factory.mktemp("stack") / "data"
    with running_stack(data_dir, bases={"tiny": tiny_base}, environment=environment) as running:
        yield running


@pytest.fixture
def sdk(stack: RunningStack) -> Iterator[openai.OpenAI]:
    with stack.client() as client:
        yield client


def rows(answer: str, *, number: int = 12) -> bytes:
    """The same question with the same answer, told apart by a number."""
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"{QUESTION} {i}" if i else QUESTION},
                {"role": "assistant", "content": answer},
            ]
        }
        for i in range(number)
    ]
    return "\n".join(map(json.dumps, lines)).encode()


def create(
    sdk: openai.OpenAI, answer: str, *, n_epochs: int = 20, validated: bool = False
) -> FineTuningJob:
    training = sdk.files.create(file=("rows.jsonl", rows(answer)), purpose="fine-tune")
    validation = (
        sdk.files.create(file=("valid.jsonl", rows(answer, number=10)), purpose="fine-tune").id
        if validated
        else None
    )
    return sdk.fine_tuning.jobs.create(
        model="tiny",
        training_file=training.id,
        validation_file=validation,
        suffix="animal",
        seed=11,
        method={
            "type": "supervised",
            "supervised": {"hyperparameters": {"n_epochs": n_epochs, "batch_size": 4}},
        },
    )


def wait(sdk: openai.OpenAI, job: FineTuningJob) -> FineTuningJob:
    poll_until(
        lambda: sdk.fine_tuning.jobs.retrieve(job.id).status in _TERMINAL,
        f"{job.id} ends",
        timeout_seconds=150,
    )
    return sdk.fine_tuning.jobs.retrieve(job.id)


def step_of(sdk: openai.OpenAI, job: FineTuningJob) -> int:
    progress = getattr(sdk.fine_tuning.jobs.retrieve(job.id), "progress", None)
    return progress["step"] if progress else 0


def messages(sdk: openai.OpenAI, job: FineTuningJob) -> list[str]:
    """Oldest first."""
    events = list(sdk.fine_tuning.jobs.list_events(job.id, limit=100))
    return [event.message for event in reversed(events)]


def ask(sdk: openai.OpenAI, model: str) -> str:
    answer = sdk.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": QUESTION}],
        temperature=0,
        max_tokens=MAX_TOKENS,
    )
    return answer.choices[0].message.content or ""


def download_adapter(stack: RunningStack, model: str, job: FineTuningJob, folder: Path) -> Path:
    """The PEFT files of a tuned model, straight from the object store."""
    s3 = stack.connection["s3"]
    store = ObjectStore.from_settings(
        Settings.model_validate({f"s3_{name}": value for name, value in s3.items()})
    )
    last = max(
        (
            key
            for key in store.list_keys("p/")
            if job.id in key and key.endswith("/adapter/manifest.json")
        ),
        key=lambda key: key.partition("/step-")[2],
    )
    prefix = last.removesuffix("manifest.json")
    folder.mkdir()
    for key in store.list_keys(prefix):
        (folder / key.removeprefix(prefix)).write_bytes(store.get_bytes(key))
    return folder


def test_the_official_sdk_goes_from_upload_to_streamed_chat(sdk: openai.OpenAI) -> None:
    job = wait(sdk, create(sdk, "A red fox.", validated=True))

    assert (job.status, job.error) == ("succeeded", None)
    assert job.fine_tuned_model
    assert job.fine_tuned_model.startswith("ft:tiny:tunery:animal:")
    events = list(sdk.fine_tuning.jobs.list_events(job.id, limit=50))
    metrics = [event.data for event in events if event.type == "metrics"]
    assert {"step", "total_steps", "train_loss", "train_mean_token_accuracy"} <= metrics[0].keys()
    assert {"learning_rate", "grad_norm", "tokens_per_second"} <= metrics[0].keys()
    assert any("valid_loss" in m and "valid_mean_token_accuracy" in m for m in metrics)
    full = [m["step"] for m in metrics if "full_valid_loss" in m]
    assert sorted(full) == [0, *range(3, 61, 3)], "before the first step and after each epoch"
    checkpoints = list(sdk.fine_tuning.jobs.checkpoints.list(job.id))
    assert [c.step_number for c in checkpoints] == [60, 57, 54]
    table = sdk.files.content(job.result_files[0]).text.splitlines()
    assert table[0].startswith("step,train_loss")
    assert len(table) >= 61

    for model in (job.fine_tuned_model, checkpoints[-1].fine_tuned_model_checkpoint):
        stream = sdk.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": QUESTION}],
            temperature=0,
            max_tokens=MAX_TOKENS,
            stream=True,
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        assert text == "A red fox.", model
    assert next(model.id for model in sdk.models.list()) == "tiny"
    assert job.fine_tuned_model in [model.id for model in sdk.models.list()]


def test_two_tuned_models_and_the_base_answer_side_by_side_as_peft_computes_them(
    sdk: openai.OpenAI, stack: RunningStack, tiny_base: Path, tmp_path: Path
) -> None:
    jobs = [create(sdk, answer) for answer in ("A red fox.", "One blue whale!")]
    ended = [wait(sdk, job) for job in jobs]
    models = [job.fine_tuned_model or "" for job in ended] + ["tiny"]

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda model: ask(sdk, model), models * 4))

    folders = [
        download_adapter(stack, model, job, tmp_path / job.id)
        for model, job in zip(models, ended, strict=False)
    ]
    codec = TextCodec(TextAssets.from_pretrained_folder(tiny_base))
    tokens = codec.encode_chat_prompt([{"role": "user", "content": QUESTION}])
    prompts: list[Prompt] = [(folder, tokens) for folder in [*folders, None]]
    oracle = greedy_answers(tiny_base, prompts, max_tokens=MAX_TOKENS)
    assert answers == [codec.decode(answer) for answer in oracle] * 4
    assert len(set(answers)) == 3


def test_a_paused_and_resumed_job_ends_with_the_very_weights_of_an_uninterrupted_one(
    sdk: openai.OpenAI, stack: RunningStack, tmp_path: Path
) -> None:
    twin = wait(sdk, create(sdk, "A brown bear.", n_epochs=30))
    job = create(sdk, "A brown bear.", n_epochs=30)
    poll_until(lambda: step_of(sdk, job) > 0, "training is under way", timeout_seconds=60)

    assert str(sdk.fine_tuning.jobs.pause(job.id).status) == "paused"
    poll_until(
        lambda: any("stopped for the pause" in message for message in messages(sdk, job)),
        "the attempt has let go",
    )
    stopped = [c.step_number for c in sdk.fine_tuning.jobs.checkpoints.list(job.id)]
    assert len(stopped) == 1
    assert 0 < stopped[0] < 90

    assert sdk.fine_tuning.jobs.resume(job.id).status == "queued"
    ended = wait(sdk, job)

    assert ended.trained_tokens == twin.trained_tokens
    assert any(f"after step {stopped[0]}" in message for message in messages(sdk, job))
    folders = [
        download_adapter(stack, each.fine_tuned_model or "", each, tmp_path / each.id)
        for each in (twin, ended)
    ]
    one, other = ((folder / "adapter_model.safetensors").read_bytes() for folder in folders)
    assert one == other


def test_a_killed_worker_costs_an_attempt_and_not_the_job(
    sdk: openai.OpenAI, stack: RunningStack
) -> None:
    job = create(sdk, "A small owl.", n_epochs=50)
    poll_until(lambda: step_of(sdk, job) > 0, "training is under way", timeout_seconds=60)

    stack.components()["worker"].kill()

    ended = wait(sdk, job)
    assert ended.status == "succeeded"
    assert any("attempt 2" in message for message in messages(sdk, job))
    assert ask(sdk, ended.fine_tuned_model or "") == "A small owl."


def test_a_killed_engine_costs_an_attempt_and_not_the_job(
    sdk: openai.OpenAI, stack: RunningStack
) -> None:
    job = create(sdk, "A tall crane.", n_epochs=50)
    poll_until(lambda: step_of(sdk, job) > 0, "training is under way", timeout_seconds=60)

    engine: psutil.Process = stack.components()["engine"]
    engine.kill()

    ended = wait(sdk, job)
    assert ended.status == "succeeded"
    assert any("ended early and will be repeated" in m for m in messages(sdk, job))
    poll_until(stack.is_ready, "the engine is back", timeout_seconds=60)
    assert ask(sdk, ended.fine_tuned_model or "") == "A tall crane."


def test_a_job_cancelled_in_mid_training_publishes_nothing(sdk: openai.OpenAI) -> None:
    job = create(sdk, "A grey mouse.", n_epochs=50)
    poll_until(lambda: step_of(sdk, job) > 0, "training is under way", timeout_seconds=60)

    assert sdk.fine_tuning.jobs.cancel(job.id).status == "cancelled"

    after = create(sdk, "A black cat.", n_epochs=1)
    assert wait(sdk, after).status == "succeeded"
    ended = sdk.fine_tuning.jobs.retrieve(job.id)
    assert (ended.status, ended.fine_tuned_model) == ("cancelled", None)


def test_a_bad_data_set_fails_the_job_and_names_the_line(sdk: openai.OpenAI) -> None:
    lines = rows("A red fox.").splitlines()
    lines[6] = b'{"messages": [{"role": "user", "content": "and then?"}]}'
    file = sdk.files.create(file=("bad.jsonl", b"\n".join(lines)), purpose="fine-tune")

    job = wait(sdk, sdk.fine_tuning.jobs.create(model="tiny", training_file=file.id))

    assert job.status == "failed"
    assert job.error
    assert (job.error.code, job.error.param) == ("invalid_training_file", "training_file")
    assert "line 7" in job.error.message.lower()
    assert sdk.files.content(file.id).read() == b"\n".join(lines)
