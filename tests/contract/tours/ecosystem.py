"""What others have built on the official SDK, used as their documentation shows it.

Run in an environment of its own, with TOUR as in `tour.py`; the address and the key are also in
OPENAI_BASE_URL and OPENAI_API_KEY, which is all that a user would change.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

THERE: dict[str, Any] = json.loads(os.environ["TOUR"])
SAID = "I am the base."
ASK: Any = [{"role": "user", "content": "Who are you?"}]


def llama_index() -> None:
    from llama_index.finetuning import OpenAIFinetuneEngine

    row = {"messages": [*ASK, {"role": "assistant", "content": "A clerk."}]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text(f"{json.dumps(row)}\n" * 12, encoding="utf-8")
        # its own check fetches a tokenizer of OpenAI's from the internet
        engine = OpenAIFinetuneEngine(THERE["base"], str(path), validate_json=False)
        engine.finetune()
    assert engine.get_current_job().status == "validating_files"
    done = OpenAIFinetuneEngine(THERE["base"], "", start_job_id=THERE["tuned_job"])
    tuned = done.get_finetuned_model(temperature=0.0)
    assert tuned.model == THERE["tuned"]


def litellm_jobs() -> None:
    import litellm

    ours: Any = {"custom_llm_provider": "openai"}
    file = litellm.create_file(file=("rows.jsonl", b"{}\n"), purpose="fine-tune", **ours)
    job = litellm.create_fine_tuning_job(model=THERE["base"], training_file=file.id, **ours)
    assert job.id in [each.id for each in litellm.list_fine_tuning_jobs(limit=2, **ours)]
    assert litellm.retrieve_fine_tuning_job(job.id, **ours).status == "validating_files"
    assert litellm.cancel_fine_tuning_job(job.id, **ours).status == "cancelled"
    assert litellm.file_content(file.id, **ours).content == b"{}\n"


def litellm_answers() -> None:
    import litellm

    model = f"openai/{THERE['base']}"
    answer = litellm.completion(model=model, messages=ASK, temperature=0, max_tokens=40)
    assert answer.choices[0].message.content == SAID
    pieces = [
        piece.choices[0].delta.content or ""
        for piece in litellm.completion(model=model, messages=ASK, stream=True)
    ]
    assert "".join(pieces) == SAID
    text = litellm.text_completion(model=f"text-completion-openai/{THERE['base']}", prompt="x")
    assert text.choices[0].text
    embedded = litellm.embedding(model=f"openai/{THERE['embedder']}", input=["a", "b"])
    assert len(embedded.data) == 2


def langchain() -> None:
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(model=THERE["base"], temperature=0, seed=1, max_tokens=40, max_retries=0)
    answer = chat.invoke("Who are you?")
    assert answer.content == SAID
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0
    assert "".join(str(chunk.content) for chunk in chat.stream("Who are you?")) == SAID
    assert chat.batch(["Who are you?"] * 2)[1].content == SAID
    scored = chat.bind(logprobs=True).invoke("Who are you?")
    assert scored.response_metadata["logprobs"]["content"]
    schema = {"title": "Answer", "type": "object", "properties": {"who": {"type": "string"}}}
    for method in ("json_schema", "json_mode"):
        form = chat.with_structured_output(schema, method=method, include_raw=True)
        assert form.invoke("Who are you? Answer in JSON.")["raw"].content


if __name__ == "__main__":
    for part in (llama_index, litellm_jobs, litellm_answers, langchain):
        part()
