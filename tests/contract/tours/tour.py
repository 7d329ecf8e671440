"""Every operation that this version of the official SDK has, once.

The environment variable TOUR holds, as JSON, the address, a key and the names of what is there.
"""

import json
import os
from typing import Any

import openai

THERE: dict[str, Any] = json.loads(os.environ["TOUR"])
ASK: Any = [{"role": "user", "content": "Who are you?"}]
GRADER: Any = {
    "type": "string_check",
    "name": "same",
    "operation": "eq",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
}


def files(client: openai.OpenAI) -> None:
    file = client.files.create(file=("rows.jsonl", b"{}\n"), purpose="fine-tune")
    assert file.id in [listed.id for listed in client.files.list(limit=1)]
    assert client.files.retrieve(file.id).filename == "rows.jsonl"
    assert client.files.content(file.id).read() == b"{}\n"
    assert client.files.delete(file.id).deleted


def uploads(client: openai.OpenAI) -> None:
    asked: Any = {"filename": "rows.jsonl", "mime_type": "text/plain", "purpose": "fine-tune"}
    upload = client.uploads.create(bytes=4, **asked)
    parts = [client.uploads.parts.create(upload.id, data=data).id for data in (b"b\n", b"a\n")]
    file = client.uploads.complete(upload.id, part_ids=parts[::-1]).file
    assert file is not None
    assert client.files.content(file.id).read() == b"a\nb\n"
    assert client.uploads.cancel(client.uploads.create(bytes=1, **asked).id).status == "cancelled"


def jobs(client: openai.OpenAI) -> None:
    file = client.files.create(file=("rows.jsonl", b"{}\n"), purpose="fine-tune")
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    job = client.fine_tuning.jobs.create(
        model=THERE["base"], training_file=file.id, method=method, metadata={"tour": "1"}
    )
    found = client.fine_tuning.jobs.list(limit=1, extra_query={"metadata[tour]": "1"})
    assert [each.id for each in found] == [job.id]
    assert client.fine_tuning.jobs.retrieve(job.id).hyperparameters.n_epochs == 2
    assert list(client.fine_tuning.jobs.list_events(job.id, limit=1))
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    assert str(client.fine_tuning.jobs.pause(THERE["queued_job"]).status) == "paused"
    assert client.fine_tuning.jobs.resume(THERE["queued_job"]).status == "queued"
    checkpoints = client.fine_tuning.jobs.checkpoints.list(THERE["tuned_job"])
    assert [checkpoint.step_number for checkpoint in checkpoints] == [3]


def permissions(client: openai.OpenAI) -> None:
    resource: Any = client.fine_tuning.checkpoints.permissions
    listing = resource.list if hasattr(resource, "list") else resource.retrieve
    tuned, project = THERE["tuned"], THERE["other_project"]
    (made,) = resource.create(tuned, project_ids=[project])
    assert [each.id for each in listing(tuned).data] == [made.id]
    assert resource.delete(made.id, fine_tuned_model_checkpoint=tuned).deleted


def graders(client: openai.OpenAI) -> None:
    resource = client.fine_tuning.alpha.graders
    assert resource.validate(grader=GRADER).grader is not None
    graded = resource.run(grader=GRADER, model_sample="4", item={"answer": "4"})
    assert (graded.reward, graded.metadata.errors.other_error) == (1.0, False)


def answers(client: openai.OpenAI) -> None:
    ask: Any = {"model": THERE["base"], "messages": ASK, "metadata": {"tour": "1"}}
    stored = client.chat.completions.create(**ask, store=True, logprobs=True, top_logprobs=1)
    stream = client.chat.completions.create(
        **ask, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == stored.choices[0].message.content
    resource = client.chat.completions
    assert stored.id in [each.id for each in resource.list(limit=1)]
    assert resource.retrieve(stored.id).choices == stored.choices
    assert [message.content for message in resource.messages.list(stored.id)] == ["Who are you?"]
    assert resource.update(stored.id, metadata={"tour": "2"}).id == stored.id
    assert resource.delete(stored.id).deleted
    completion = client.completions.create(
        model=THERE["base"], prompt="x", logprobs=1, max_tokens=3
    )
    assert completion.choices[0].text
    vectors = client.embeddings.create(model=THERE["embedder"], input=["a", "b"]).data
    assert len(vectors) == 2


def batches(client: openai.OpenAI) -> None:
    file = client.files.create(file=("requests.jsonl", b"{}\n"), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h"
    )
    assert batch.id in [each.id for each in client.batches.list(limit=1)]
    assert client.batches.retrieve(batch.id).status == "validating"
    assert client.batches.cancel(batch.id).status == "cancelling"


def webhooks(client: openai.OpenAI) -> None:
    """In 2.0 the SDK can only verify what comes."""
    resource: Any = client.webhooks
    if not hasattr(resource, "create"):
        return
    types = resource.event_types.list().data
    made = resource.create(name="tour", url=THERE["hook_url"], event_types=types[:1])
    assert made.id in [each.id for each in resource.list()]
    assert resource.retrieve(made.id).name == "tour"
    assert resource.update(made.id, name="other").name == "other"
    assert resource.rotate_secret(made.id).signing_secret != made.signing_secret
    assert resource.test(made.id, event_type=types[0]).success
    assert resource.delete(made.id).deleted


def models(client: openai.OpenAI) -> None:
    assert client.models.list().data[0].id == THERE["base"]
    assert client.models.retrieve(THERE["tuned"]).id == THERE["tuned"]
    assert client.models.delete(THERE["tuned"]).deleted


def failures(client: openai.OpenAI) -> None:
    failure: openai.APIStatusError | None = None
    try:
        client.fine_tuning.jobs.retrieve("ftjob-none")
    except openai.NotFoundError as error:
        failure = error
    assert failure is not None
    assert (failure.code, failure.param) == ("job_not_found", "fine_tuning_job_id")
    assert failure.request_id


def main() -> None:
    with openai.OpenAI(base_url=THERE["base_url"], api_key=THERE["key"], max_retries=0) as client:
        for part in (
            *(files, uploads, jobs, permissions, graders, answers, batches, webhooks),
            *(models, failures),
        ):
            part(client)


if __name__ == "__main__":
    main()
