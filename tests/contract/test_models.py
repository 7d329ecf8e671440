"""Models, through the official SDK."""

import openai
import pytest

from service.core.domain.jobs import StartPoint
from service.core.domain.models import Delta
from service.core.object_keys import job_prefix
from service.core.storage import ObjectStore
from tests.fakes.engine import FAKE_BASE, FAKE_EMBEDDER, FakeEngine
from tests.running_api import RunningApi, Tenant
from tests.service.core.builders import add_job

BASE = FAKE_BASE.name


@pytest.fixture(autouse=True)
def _base_is_known(engine: FakeEngine) -> None:
    assert engine.bases == (FAKE_BASE,)


def test_the_list_begins_with_the_base_goes_on_newest_first_and_ends_with_embeddings(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant
) -> None:
    names = [f"ft:{BASE}:o:{i}:{tenant.principal.key_id}" for i in range(3)]
    for name in names:
        api.publish_model(tenant, name, "d" * 64)

    assert [model.id for model in sdk.models.list()] == [
        BASE,
        *names[::-1],
        FAKE_EMBEDDER.name,
    ]


def test_bases_models_and_checkpoints_are_found_by_name(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant
) -> None:
    name = f"ft:{BASE}:o::{tenant.principal.key_id}"
    job_id = api.publish_model(tenant, name, "d" * 64)

    base, tuned = sdk.models.retrieve(BASE), sdk.models.retrieve(name)
    checkpoint = sdk.models.retrieve(f"{name}:ckpt-step-3")

    assert (base.object, base.owned_by, base.model_extra) == (
        "model",
        "system",
        {"base": None, "job": None},
    )
    assert tuned.owned_by == checkpoint.owned_by == tenant.principal.scope.organization
    assert tuned.model_extra == checkpoint.model_extra == {"base": BASE, "job": job_id}


def test_a_deleted_model_takes_its_checkpoints_and_objects_along(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, object_store: ObjectStore
) -> None:
    name = f"ft:{BASE}:o::{tenant.principal.key_id}"
    job_id = api.publish_model(tenant, name, "d" * 64)
    prefix = job_prefix(tenant.principal.scope.project_id, job_id)
    object_store.put_bytes(f"{prefix}e1/step-000003/adapter/manifest.json", b"{}")

    deleted = sdk.models.delete(name)

    assert (deleted.id, deleted.deleted) == (name, True)
    assert list(object_store.list_keys(prefix)) == []
    for gone in (name, f"{name}:ckpt-step-3"):
        with pytest.raises(openai.NotFoundError):
            sdk.models.retrieve(gone)


def test_objects_that_a_job_started_from_stay_for_the_models_that_share_them(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, object_store: ObjectStore
) -> None:
    name = f"ft:{BASE}:o::{tenant.principal.key_id}"
    scope = tenant.principal.scope
    folder = f"{job_prefix(scope.project_id, api.publish_model(tenant, name, 'd' * 64))}e1/step-3/"
    object_store.put_bytes(f"{folder}overlay.safetensors", b"shared")
    with api.database.transaction() as connection:
        add_job(connection, scope, base=BASE, start=StartPoint(name, Delta(folder, "d" * 64)))

    assert sdk.models.delete(name).deleted

    assert object_store.get_bytes(f"{folder}overlay.safetensors") == b"shared"


def test_a_name_with_a_slash_is_a_name_and_no_other_address(sdk: openai.OpenAI) -> None:
    for call in (sdk.models.retrieve, sdk.models.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            call("Qwen/Qwen3-0.6B")
        assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.fine_tuning.checkpoints.permissions.list("org/model")
    assert caught.value.code == "model_not_found"


def test_a_base_cannot_be_deleted(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError):
        sdk.models.delete(BASE)

    assert sdk.models.retrieve(BASE).id == BASE


def test_a_checkpoint_is_not_deleted_alone(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant
) -> None:
    name = f"ft:{BASE}:o::{tenant.principal.key_id}"
    api.publish_model(tenant, name, "d" * 64)

    with pytest.raises(openai.BadRequestError):
        sdk.models.delete(f"{name}:ckpt-step-3")
