"""Names people already use, through the official SDK: what they mean, and for whom."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx2
import openai
import pytest

from service.core.repositories.base_aliases import BaseAliasRepository
from service.core.repositories.jobs import JobRepository
from service.core.text import TextCodec
from tests.fakes.engine import FAKE_BASE, FAKE_EMBEDDER, FakeEngine
from tests.polling import poll_until
from tests.running_api import RunningApi, Tenant

BASE = FAKE_BASE.name
FOREIGN_BASE = "gpt-4o-mini-2024-07-18"
FOREIGN = f"ft:{FOREIGN_BASE}:acme::AbC123"
ASK = [{"role": "user", "content": "Who?"}]
_numbers = count(5_000)


@pytest.fixture(autouse=True)
def _base_is_known(engine: FakeEngine) -> None:
    assert engine.bases == (FAKE_BASE,)


def publish(
    api: RunningApi, tenant: Tenant, engine: FakeEngine, codec: TextCodec, answer: str
) -> str:
    """A tuned model that says `answer`; its name."""
    number = next(_numbers)
    name = f"ft:{BASE}:{tenant.principal.scope.organization}::{number:08d}"
    engine.answers[f"{number:064x}"] = codec.encode(answer)
    api.publish_model(tenant, name, f"{number:064x}")
    return name


@pytest.fixture
def model(api: RunningApi, tenant: Tenant, engine: FakeEngine, text_codec: TextCodec) -> str:
    return publish(api, tenant, engine, text_codec, "I am tuned.")


def point(http: httpx2.Client, alias: str, model: str) -> httpx2.Response:
    return http.post("/v1/models/aliases", json={"alias": alias, "model": model})


def code_of(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def ask(sdk: openai.OpenAI, model: str) -> tuple[str, str]:
    """What is answered, and by which model."""
    answer = sdk.chat.completions.create(model=model, messages=ASK, temperature=0)  # type: ignore[arg-type]
    return answer.choices[0].message.content or "", answer.model


def test_a_foreign_tuned_name_answers_and_says_what_really_ran(
    http: httpx2.Client, sdk: openai.OpenAI, model: str
) -> None:
    made = point(http, FOREIGN, model).json()

    assert (made["object"], made["alias"], made["model"]) == ("model.alias", FOREIGN, model)
    assert ask(sdk, FOREIGN) == ("I am tuned.", model)
    chunks = list(sdk.chat.completions.create(model=FOREIGN, messages=ASK, stream=True))  # type: ignore[arg-type]
    assert {chunk.model for chunk in chunks} == {model}
    assert sdk.completions.create(model=FOREIGN, prompt="a", max_tokens=3).model == model
    assert sdk.models.retrieve(FOREIGN).id == model


def test_a_stored_answer_is_found_under_the_model_that_gave_it(
    http: httpx2.Client, sdk: openai.OpenAI, model: str
) -> None:
    point(http, FOREIGN, model)
    for stream in (False, True):
        answer = sdk.chat.completions.create(
            model=FOREIGN,
            messages=ASK,  # type: ignore[arg-type]
            store=True,
            stream=stream,
        )
        if stream:
            list(answer)  # type: ignore[arg-type]

    stored = list(sdk.chat.completions.list(model=model))
    assert [each.model for each in stored] == [model, model]


def test_a_job_from_a_foreign_base_shows_what_was_asked_for_and_what_it_trains(
    http: httpx2.Client, sdk: openai.OpenAI
) -> None:
    point(http, FOREIGN_BASE, BASE)
    file = sdk.files.create(file=("rows.jsonl", b"{}"), purpose="fine-tune")

    job = sdk.fine_tuning.jobs.create(model=FOREIGN_BASE, training_file=file.id)

    assert job.model == FOREIGN_BASE
    assert ask(sdk, FOREIGN_BASE) == ("I am the base.", BASE)


def test_embeddings_and_graders_take_foreign_names(http: httpx2.Client, sdk: openai.OpenAI) -> None:
    point(http, "text-embedding-3-small", FAKE_EMBEDDER.name)
    point(http, FOREIGN_BASE, BASE)

    embedded = sdk.embeddings.create(model="text-embedding-3-small", input="a")
    grader = {
        "type": "score_model",
        "name": "judge",
        "model": FOREIGN_BASE,
        "input": [{"role": "user", "content": "How good is it?"}],
    }
    checked = http.post("/v1/fine_tuning/alpha/graders/validate", json={"grader": grader})

    assert embedded.model == FAKE_EMBEDDER.name
    assert checked.status_code == 200, checked.text


def test_the_operators_names_hold_for_all_and_a_projects_own_come_first(
    api: RunningApi, http: httpx2.Client, sdk: openai.OpenAI, model: str
) -> None:
    shared = f"gpt-{next(_numbers)}"
    with api.database.transaction() as connection:
        BaseAliasRepository(connection).set(shared, BASE)

    assert ask(sdk, shared) == ("I am the base.", BASE)
    point(http, shared, model)
    assert ask(sdk, shared) == ("I am tuned.", model)
    with api.sdk(api.new_tenant()) as stranger:
        assert ask(stranger, shared) == ("I am the base.", BASE)


def test_an_alias_means_nothing_to_other_projects(
    api: RunningApi, tenant: Tenant, http: httpx2.Client, model: str
) -> None:
    point(http, FOREIGN, model)
    sister = api.new_project(tenant.principal.scope.organization, "sister")

    for other in (sister, api.new_tenant()):
        with api.client(other) as stranger:
            body = {"model": FOREIGN, "messages": ASK}
            assert code_of(stranger.post("/v1/chat/completions", json=body)) == (
                404,
                "model_not_found",
            )
            assert stranger.get("/v1/models/aliases").json()["data"] == []
            assert code_of(point(stranger, "mine", model)) == (404, "model_not_found")
            gone = stranger.delete(f"/v1/models/aliases/{FOREIGN}")
            assert code_of(gone) == (404, "alias_not_found")


def test_a_request_keeps_the_model_that_its_alias_meant_when_it_began(
    api: RunningApi,
    tenant: Tenant,
    http: httpx2.Client,
    sdk: openai.OpenAI,
    engine: FakeEngine,
    text_codec: TextCodec,
) -> None:
    one = publish(api, tenant, engine, text_codec, "I am one.")
    two = publish(api, tenant, engine, text_codec, "I am two.")
    point(http, "prod", one)
    engine.requests.clear()
    engine.hold_streams()
    try:
        with ThreadPoolExecutor() as threads:
            begun = threads.submit(ask, sdk, "prod")
            poll_until(lambda: len(engine.requests) == 1, "the engine has the request")
            assert point(http, "prod", two).status_code == 200
            engine.release()
            assert begun.result() == ("I am one.", one)
    finally:
        engine.release()

    assert ask(sdk, "prod") == ("I am two.", two)


def test_aliases_of_aliases_follow_and_circles_are_refused(
    http: httpx2.Client, sdk: openai.OpenAI, model: str
) -> None:
    point(http, FOREIGN, model)
    point(http, "prod", FOREIGN)

    assert ask(sdk, "prod") == ("I am tuned.", model)
    for alias, target in ((FOREIGN, "prod"), ("prod", "prod")):
        assert code_of(point(http, alias, target)) == (400, "alias_cycle")
    point(http, FOREIGN, BASE)
    assert ask(sdk, "prod") == ("I am the base.", BASE)


def test_an_alias_of_a_deleted_model_says_so_and_can_be_pointed_elsewhere(
    http: httpx2.Client, sdk: openai.OpenAI, model: str
) -> None:
    point(http, FOREIGN, model)
    sdk.models.delete(model)

    with pytest.raises(openai.NotFoundError, match=r"alias.*means") as caught:
        ask(sdk, FOREIGN)
    assert caught.value.code == "model_not_found"
    point(http, FOREIGN, BASE)
    assert ask(sdk, FOREIGN) == ("I am the base.", BASE)


def test_deleting_an_alias_and_deleting_its_model_are_two_things(
    http: httpx2.Client, sdk: openai.OpenAI, model: str
) -> None:
    point(http, FOREIGN, model)

    with pytest.raises(openai.BadRequestError, match="alias"):
        sdk.models.delete(FOREIGN)
    assert http.delete(f"/v1/models/aliases/{FOREIGN}").json()["deleted"]

    assert ask(sdk, model) == ("I am tuned.", model)
    assert code_of(http.get(f"/v1/models/aliases/{FOREIGN}")) == (404, "alias_not_found")


def test_no_alias_hides_a_model_a_coming_model_or_a_route(
    api: RunningApi, tenant: Tenant, http: httpx2.Client, sdk: openai.OpenAI, model: str
) -> None:
    file = sdk.files.create(file=("rows.jsonl", b"{}"), purpose="fine-tune")
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file.id)
    with api.database.snapshot() as connection:
        coming = JobRepository(connection, tenant.principal.scope).get(job.id).reserved_model_name

    for taken in (BASE, FAKE_EMBEDDER.name, model, f"{model}:ckpt-step-3", coming):
        assert code_of(point(http, taken, BASE)) == (400, "name_taken"), taken
    for wrong in ("aliases", "imports", "aliases/x", "a/../b", "a//b", "", " a", "a b", "x" * 257):
        assert point(http, wrong, BASE).status_code == 400, wrong
    assert code_of(point(http, "x", "nothing")) == (404, "model_not_found")


def test_aliases_are_listed_in_pages_newest_first(http: httpx2.Client) -> None:
    names = [f"name-{i}" for i in range(3)]
    for name in (*names, names[0]):
        point(http, name, BASE)

    first = http.get("/v1/models/aliases", params={"limit": 2}).json()
    rest = http.get("/v1/models/aliases", params={"after": first["last_id"]}).json()

    assert [alias["alias"] for alias in (*first["data"], *rest["data"])] == names[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    slashed = point(http, "accounts/acme/models/m", BASE).json()
    assert http.get("/v1/models/aliases/accounts%2Facme%2Fmodels%2Fm").json() == slashed
