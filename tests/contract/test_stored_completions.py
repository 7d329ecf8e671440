"""Stored chat completions through the official client."""

import openai
import pytest

from tests.fakes.engine import FAKE_BASE

pytestmark = pytest.mark.usefixtures("engine")

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
]


def ask(sdk: openai.OpenAI, **options: object) -> str:
    """The id of a completion that is stored unless `options` say otherwise."""
    answer = sdk.chat.completions.create(  # type: ignore[call-overload]
        **{"model": FAKE_BASE.name, "messages": MESSAGES, "store": True, **options}
    )
    if options.get("stream"):
        return {chunk.id for chunk in answer}.pop()
    return answer.id


def test_a_stored_answer_is_retrieved_as_it_was_given(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model=FAKE_BASE.name,
        messages=MESSAGES,  # type: ignore[arg-type]
        n=2,
        store=True,
        metadata={"customer": "acme"},
    )

    stored = sdk.chat.completions.retrieve(answer.id).model_dump()

    assert stored.pop("metadata") == {"customer": "acme"}
    expected = answer.model_dump()
    for name in ("id", "object", "created", "model", "choices", "system_fingerprint"):
        assert stored[name] == expected[name], name
    assert stored["usage"]["total_tokens"] == expected["usage"]["total_tokens"]


def test_a_streamed_answer_is_stored_like_a_whole_one(sdk: openai.OpenAI) -> None:
    whole = sdk.chat.completions.retrieve(ask(sdk, n=2))
    streamed = sdk.chat.completions.retrieve(ask(sdk, n=2, stream=True))

    assert streamed.choices == whole.choices
    assert streamed.usage == whole.usage
    assert streamed.system_fingerprint == whole.system_fingerprint


@pytest.mark.parametrize("options", [{"store": False}, {"store": None}, {"stream": True}])
def test_what_was_not_to_be_stored_is_not(sdk: openai.OpenAI, options: dict[str, object]) -> None:
    completion_id = ask(sdk, **{"store": False, **options})

    with pytest.raises(openai.NotFoundError) as missing:
        sdk.chat.completions.retrieve(completion_id)
    assert missing.value.code == "completion_not_found"
    assert list(sdk.chat.completions.list()) == []


def test_completions_are_listed_oldest_first_by_model_and_metadata(sdk: openai.OpenAI) -> None:
    plain = ask(sdk)
    acme = ask(sdk, metadata={"customer": "acme", "tier": "1"})
    other = ask(sdk, metadata={"customer": "other"})

    def ids(**options: object) -> list[str]:
        return [c.id for c in sdk.chat.completions.list(**options)]  # type: ignore[arg-type]

    assert ids(limit=2) == [plain, acme, other]
    assert ids(order="desc") == [other, acme, plain]
    assert ids(after=plain) == [acme, other]
    assert ids(metadata={"customer": "acme", "tier": "1"}) == [acme]
    assert ids(metadata={"customer": "acme", "tier": "2"}) == []
    assert ids(extra_query={"metadata": "null"}) == [plain]
    assert ids(model=FAKE_BASE.name) == [plain, acme, other]
    assert ids(model="another") == []


def test_metadata_is_replaced_and_found_anew(sdk: openai.OpenAI) -> None:
    completion_id = ask(sdk, metadata={"customer": "acme"})

    updated = sdk.chat.completions.update(completion_id, metadata={"reviewed": "yes"})

    assert updated.model_dump()["metadata"] == {"reviewed": "yes"}
    assert [c.id for c in sdk.chat.completions.list(metadata={"reviewed": "yes"})] == [
        completion_id
    ]
    assert list(sdk.chat.completions.list(metadata={"customer": "acme"})) == []


def test_a_deleted_completion_is_gone(sdk: openai.OpenAI) -> None:
    completion_id = ask(sdk, metadata={"customer": "acme"})

    assert sdk.chat.completions.delete(completion_id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.retrieve(completion_id)


def test_the_messages_of_a_completion_are_paged(sdk: openai.OpenAI) -> None:
    completion_id = ask(sdk)

    def texts(**options: object) -> list[str | None]:
        page = sdk.chat.completions.messages.list(completion_id, **options)  # type: ignore[arg-type]
        return [message.content for message in page]

    first, second = sdk.chat.completions.messages.list(completion_id).data
    assert (first.role, first.content, first.content_parts) == ("system", "Be brief.", None)
    assert [part.text for part in second.content_parts or []] == ["a", "b"]  # type: ignore[union-attr]
    assert texts(limit=1) == ["Be brief.", "ab"]
    assert texts(order="desc") == ["ab", "Be brief."]
    assert texts(after=first.id) == ["ab"]
    with pytest.raises(openai.BadRequestError):
        texts(after="none")
