"""Checkpoint permissions, through the official SDK: whom they let in, and whom not."""

from collections.abc import Iterator
from itertools import count

import openai
import pytest

from service.core.text import TextCodec
from tests.contract.test_fine_tuning import ROWS
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi, Tenant

_numbers = count()


@pytest.fixture
def model(api: RunningApi, tenant: Tenant, engine: FakeEngine, text_codec: TextCodec) -> str:
    """A tuned model of `tenant` with a checkpoint at step 3; both answer alike."""
    number = next(_numbers)
    name = f"ft:{FAKE_BASE.name}:{tenant.principal.scope.organization}:shared:{number:08d}"
    digest = f"{number:064x}"
    engine.answers[digest] = text_codec.encode("I am tuned.")
    api.publish_model(tenant, name, digest)
    return name


@pytest.fixture
def sister(api: RunningApi, tenant: Tenant) -> Tenant:
    """Another project of the organisation."""
    return api.new_project(tenant.principal.scope.organization, "sister")


@pytest.fixture
def sisters_sdk(api: RunningApi, sister: Tenant) -> Iterator[openai.OpenAI]:
    with api.sdk(sister) as client:
        yield client


def project(tenant: Tenant) -> str:
    return tenant.principal.scope.project_id


def ask(sdk: openai.OpenAI, model: str) -> str:
    """The answer, or the error's code."""
    try:
        answer = sdk.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Who?"}], temperature=0
        )
    except openai.APIStatusError as error:
        return str(error.code)
    return answer.choices[0].message.content or ""


@pytest.mark.parametrize("suffix", ["", ":ckpt-step-3"])
def test_a_permission_lets_exactly_that_project_use_exactly_that_model(
    api: RunningApi,
    sdk: openai.OpenAI,
    sister: Tenant,
    sisters_sdk: openai.OpenAI,
    model: str,
    suffix: str,
) -> None:
    shared, other = model + suffix, model + (":ckpt-step-3" if not suffix else "")
    assert ask(sisters_sdk, shared) == "model_not_found"

    permissions = sdk.fine_tuning.checkpoints.permissions
    created = permissions.create(shared, project_ids=[project(sister)])

    (permission,) = created.data
    assert permission.id.startswith("cp_")
    assert (permission.object, permission.project_id) == ("checkpoint.permission", project(sister))
    assert ask(sisters_sdk, shared) == "I am tuned."
    assert sisters_sdk.models.retrieve(shared).id == shared
    assert ask(sisters_sdk, other) == "model_not_found"
    with api.sdk(api.new_tenant()) as stranger:
        assert ask(stranger, shared) == "model_not_found"

    assert permissions.delete(permission.id, fine_tuned_model_checkpoint=shared).deleted
    assert ask(sisters_sdk, shared) == "model_not_found"
    assert ask(sdk, shared) == "I am tuned."


def test_a_job_goes_on_from_another_project_s_model_only_with_its_permission(
    sdk: openai.OpenAI, sister: Tenant, sisters_sdk: openai.OpenAI, model: str
) -> None:
    file_id = sisters_sdk.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune").id

    def refusal() -> str | None:
        try:
            job = sisters_sdk.fine_tuning.jobs.create(model=model, training_file=file_id)
        except openai.NotFoundError as error:
            return error.code
        assert job.model == model
        return None

    permissions = sdk.fine_tuning.checkpoints.permissions
    assert refusal() == "model_not_found"
    (permission,) = permissions.create(model, project_ids=[project(sister)]).data
    assert refusal() is None
    permissions.delete(permission.id, fine_tuned_model_checkpoint=model)
    assert refusal() == "model_not_found"


def test_permissions_are_listed_in_either_order_in_pages_and_by_project(
    api: RunningApi, tenant: Tenant, sdk: openai.OpenAI, model: str
) -> None:
    organization = tenant.principal.scope.organization
    projects = [project(api.new_project(organization, f"p{i}")) for i in range(3)]
    permissions = sdk.fine_tuning.checkpoints.permissions
    for each in projects:
        permissions.create(model, project_ids=[each])
    permissions.create(model, project_ids=projects)  # again changes nothing

    def listed(**query: object) -> list[str]:
        return [p.project_id for p in permissions.list(model, **query)]  # type: ignore[arg-type]

    assert listed() == listed(limit=2) == projects[::-1]
    assert listed(order="ascending", limit=2) == projects
    assert listed(project_id=projects[1]) == [projects[1]]
    first = permissions.list(model, limit=1)
    assert first.has_more
    assert [p.project_id for p in permissions.list(model, after=first.data[0].id)] == (
        projects[1::-1]
    )


def test_what_may_be_used_is_not_owned(
    sdk: openai.OpenAI, sister: Tenant, sisters_sdk: openai.OpenAI, model: str
) -> None:
    sdk.fine_tuning.checkpoints.permissions.create(model, project_ids=[project(sister)])

    assert model in [listed.id for listed in sisters_sdk.models.list()]
    with pytest.raises(openai.NotFoundError):
        sisters_sdk.models.delete(model)
    with pytest.raises(openai.NotFoundError):
        sisters_sdk.fine_tuning.checkpoints.permissions.list(model)


def test_a_deleted_model_takes_its_permissions_with_it(
    sdk: openai.OpenAI, sister: Tenant, sisters_sdk: openai.OpenAI, model: str
) -> None:
    for name in (model, f"{model}:ckpt-step-3"):
        sdk.fine_tuning.checkpoints.permissions.create(name, project_ids=[project(sister)])

    sdk.models.delete(model)

    assert ask(sisters_sdk, model) == "model_not_found"
    assert ask(sisters_sdk, f"{model}:ckpt-step-3") == "model_not_found"


def test_projects_of_others_unknown_ones_and_the_owner_are_refused_together_with_the_rest(
    api: RunningApi, tenant: Tenant, sdk: openai.OpenAI, sister: Tenant, model: str
) -> None:
    permissions = sdk.fine_tuning.checkpoints.permissions
    for wrong in (project(api.new_tenant()), "proj_nothing", project(tenant)):
        with pytest.raises(openai.BadRequestError) as caught:
            permissions.create(model, project_ids=[project(sister), wrong])
        assert caught.value.param == "project_ids"

    assert list(permissions.list(model)) == []
    with pytest.raises(openai.NotFoundError) as missing:
        permissions.delete("cp_nothing", fine_tuned_model_checkpoint=model)
    assert missing.value.code == "permission_not_found"
