"""Every operation of `clients/openapi.json` under schemathesis: whatever is sent, no 5xx, no answer
but the described ones, and nothing accepted that the description forbids."""

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.api.openapi import OPENAPI_PATH
from service.core.domain.webhooks import WebhookEventType
from service.core.repositories.deliveries import emit
from service.core.text import TextCodec
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi, Tenant

# An answer of 400 to a request that the description allows is no fault: that a file exists or two
# parameters exclude each other is not to be said in a schema.
_LEFT_OUT = [positive_data_acceptance]

_CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {"with-security-parameters": False},
        # with 413, for what is over-long makes a body over-large
        "checks": {"negative_data_rejection": {"expected-statuses": [*range(400, 430), "5xx"]}},
    }
)
# /readyz is 503 by design where no worker runs, as here
_SCHEMA = schemathesis.openapi.from_path(OPENAPI_PATH, config=_CONFIG).exclude(path="/readyz")
# the api runs in threads of this process, and draws random numbers while hypothesis thinks
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
_PATIENT = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def tenant(api: RunningApi, engine: FakeEngine, text_codec: TextCodec) -> Tenant:
    """Of the whole module: a hypothesis test keeps its fixtures over all its examples."""
    assert engine.bases[0].name == FAKE_BASE.name
    assert text_codec.stop_token_ids
    return api.new_tenant()


@pytest.fixture(scope="module")
def known(api: RunningApi, tenant: Tenant) -> dict[str, str]:
    """A thing of every kind, by the name of the path's parameter."""
    url = "https://hooks.example/"
    kind = WebhookEventType.JOB_SUCCEEDED
    with api.sdk(tenant) as sdk, api.client(tenant) as http:
        file = sdk.files.create(file=("a.jsonl", b"{}\n"), purpose="fine-tune")
        requests = sdk.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
        job = sdk.fine_tuning.jobs.create(model=FAKE_BASE.name, training_file=file.id)
        batch = sdk.batches.create(
            input_file_id=requests.id, endpoint="/v1/embeddings", completion_window="24h"
        )
        upload = sdk.uploads.create(
            bytes=1, filename="a", mime_type="text/plain", purpose="fine-tune"
        )
        stored = sdk.chat.completions.create(
            model=FAKE_BASE.name, messages=[{"role": "user", "content": "x"}], store=True
        )
        hook = sdk.webhooks.create(name="x", url=url, event_types=[kind.value])
        with api.database.transaction() as connection:
            emit(connection, tenant.principal.scope, kind, "ftjob-1")
        delivery = _first(http, f"/v1/webhook_endpoints/{hook.id}/deliveries")
    name = f"ft:{FAKE_BASE.name}:fuzz::{tenant.key[-8:]}"
    api.publish_model(tenant, name, "0" * 64)
    return {
        "batch_id": batch.id,
        "completion_id": stored.id,
        "file_id": file.id,
        "fine_tuned_model_checkpoint": name,
        "fine_tuning_job_id": job.id,
        "model": FAKE_BASE.name,
        "upload_id": upload.id,
        "webhook_delivery_id": delivery,
        "webhook_endpoint_id": hook.id,
    }


def _first(http: httpx2.Client, path: str) -> str:
    return str(http.get(path).json()["data"][0]["id"])


def _ask(case: Case, api: RunningApi, tenant: Tenant, known: dict[str, str]) -> None:
    if len(str(case.path_parameters)) % 2 and case.operation.method != "delete":
        _name_things_that_are_there(case, known)
    case.call_and_validate(
        base_url=api.url,
        headers={"Authorization": f"Bearer {tenant.key}"},
        excluded_checks=_LEFT_OUT,
    )


def _name_things_that_are_there(case: Case, known: dict[str, str]) -> None:
    """Most made-up ids end in a 404, which says little about the operation."""
    for name in case.path_parameters:
        case.path_parameters[name] = known.get(name, case.path_parameters[name])


@_SCHEMA.parametrize()
@settings(_PATIENT, max_examples=8)
def test_any_request_gets_a_proper_answer(
    case: Case, api: RunningApi, tenant: Tenant, known: dict[str, str]
) -> None:
    _ask(case, api, tenant, known)


@pytest.mark.slow
@_SCHEMA.parametrize()
@settings(_PATIENT, max_examples=150)
def test_any_of_many_requests_gets_a_proper_answer(
    case: Case, api: RunningApi, tenant: Tenant, known: dict[str, str]
) -> None:
    _ask(case, api, tenant, known)
