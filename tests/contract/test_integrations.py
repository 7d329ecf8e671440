"""Integrations: a key that is kept and not shown, and jobs that say what they report to."""

from collections.abc import Iterator

import httpx2
import openai
import pytest
from sqlalchemy import select

from service.core.encryption import Cipher
from service.core.settings import Settings
from service.core.tables import audit, integration_secrets
from tests.fakes.engine import FakeEngine
from tests.running_api import RunningApi, Tenant, api_settings, reporting, running_api
from tests.servers.seaweedfs import S3Credentials

PATH = "/v1/integrations/wandb"
KEY = "0123456789abcdef" * 2 + "01234567"
WANDB = {"project": "p", "name": "n", "entity": "e", "tags": ["a", "b"]}


def create(sdk: openai.OpenAI, engine: FakeEngine, wandb: object = WANDB) -> object:
    file = sdk.files.create(purpose="fine-tune", file=("rows.jsonl", b"{}"))
    return sdk.fine_tuning.jobs.create(
        model=engine.bases[0].name,
        training_file=file.id,
        integrations=[{"type": "wandb", "wandb": wandb}],  # type: ignore[list-item]
    )


def test_a_key_is_stored_encrypted_and_never_shown(
    api: RunningApi, http: httpx2.Client, tenant: Tenant
) -> None:
    assert http.get(PATH).status_code == 404
    stored = http.post(PATH, json={"api_key": KEY})
    shown = http.get(PATH)

    assert stored.json() == shown.json()
    assert {k: v for k, v in shown.json().items() if k != "created_at"} == {
        "object": "integration",
        "type": "wandb",
        "api_key_hint": "…4567",
    }
    assert KEY not in stored.text + shown.text
    with api.database.snapshot() as connection:
        scope = tenant.principal.scope
        rows = connection.execute(
            select(integration_secrets.c.secret).where(
                integration_secrets.c.project_id == scope.project_id
            )
        )
        (sealed,) = rows.scalars()
    assert KEY not in sealed
    assert Cipher.from_settings(api.settings).open(sealed) == KEY


def test_a_key_is_replaced_and_forgotten(
    api: RunningApi, http: httpx2.Client, tenant: Tenant
) -> None:
    http.post(PATH, json={"api_key": KEY})
    assert http.post(PATH, json={"api_key": "f" * 40}).json()["api_key_hint"] == "…ffff"
    deleted = http.delete(PATH).json()
    assert deleted == {"object": "integration.deleted", "type": "wandb", "deleted": True}
    for again in (http.get(PATH), http.delete(PATH)):
        assert (again.status_code, again.json()["error"]["code"]) == (404, "integration_not_found")
    with api.database.snapshot() as connection:
        scope = tenant.principal.scope
        actions = connection.execute(
            select(audit.c.action).where(audit.c.project_id == scope.project_id)
        ).scalars()
        assert sorted(actions) == [
            *("integration.created", "integration.created", "integration.deleted")
        ]


def test_a_key_is_its_projects_own(api: RunningApi, http: httpx2.Client) -> None:
    http.post(PATH, json={"api_key": KEY})
    with api.client(api.new_tenant()) as stranger:
        assert stranger.get(PATH).status_code == 404
        assert stranger.delete(PATH).status_code == 404
    assert http.get(PATH).status_code == 200


@pytest.mark.parametrize("key", ["short", "with space" * 4, "ünïcödé!" * 4, "x" * 257, 4, None])
def test_what_is_no_key_is_refused(http: httpx2.Client, key: object) -> None:
    answer = http.post(PATH, json={"api_key": key})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "api_key")


def test_a_job_says_what_it_reports_to(
    sdk: openai.OpenAI, http: httpx2.Client, engine: FakeEngine
) -> None:
    http.post(PATH, json={"api_key": KEY})

    job = create(sdk, engine)

    assert isinstance(job, openai.types.fine_tuning.FineTuningJob)
    for seen in (job, sdk.fine_tuning.jobs.retrieve(job.id), sdk.fine_tuning.jobs.list().data[0]):
        assert seen.integrations is not None
        assert [each.model_dump() for each in seen.integrations] == [
            {"type": "wandb", "wandb": WANDB}
        ]
    plain = create(sdk, engine, {"project": "p"})
    assert isinstance(plain, openai.types.fine_tuning.FineTuningJob)
    assert plain.integrations is not None
    (only,) = plain.integrations
    assert (only.wandb.project, only.wandb.name, only.wandb.tags) == ("p", None, [])


def test_without_a_key_the_job_is_refused_and_told_where_to_store_one(
    sdk: openai.OpenAI, engine: FakeEngine
) -> None:
    with pytest.raises(openai.BadRequestError, match="POST /v1/integrations/wandb") as caught:
        create(sdk, engine)
    assert (caught.value.code, caught.value.param) == ("integration_unavailable", "integrations")


@pytest.fixture(params=["offline", "off"])
def other_api(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    s3_credentials: S3Credentials,
    valkey_url: str,
    engine: FakeEngine,
) -> Iterator[RunningApi]:
    settings = api_settings(
        tmp_path_factory.mktemp("api"), s3_credentials, valkey_url, wandb_mode=request.param
    )
    with running_api(settings) as running, reporting(running, engine):
        yield running


def test_the_operator_decides_whether_anything_is_sent(
    other_api: RunningApi, engine: FakeEngine
) -> None:
    with other_api.sdk(other_api.new_tenant()) as sdk:
        if other_api.settings.wandb_mode == "offline":
            assert isinstance(create(sdk, engine), openai.types.fine_tuning.FineTuningJob)
        else:
            with pytest.raises(openai.BadRequestError, match="TUNERY_WANDB_MODE"):
                create(sdk, engine)


def test_without_encryption_no_key_is_taken(
    tmp_path_factory: pytest.TempPathFactory, s3_credentials: S3Credentials, valkey_url: str
) -> None:
    settings: Settings = api_settings(
        tmp_path_factory.mktemp("api"), s3_credentials, valkey_url, encryption_keys=""
    )
    with running_api(settings) as running, running.client(running.new_tenant()) as client:
        answer = client.post(PATH, json={"api_key": KEY})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "encryption_unavailable")
