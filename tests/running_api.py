"""The real api over real HTTP on a free loopback port, inside the test process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx2
import openai
import uvicorn

from service.api.app import create_app
from service.api.main import api_uvicorn_config, prepare
from service.core.database import Database, upgrade
from service.core.domain.access import KeyScope, Principal
from service.core.domain.models import Delta
from service.core.engine_protocol import BaseState, EmbedderState
from service.core.repositories.access import AccessRepository
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.keys import KeyRepository
from service.core.repositories.models import ModelRepository
from service.core.security import hash_api_key, new_api_key
from service.core.settings import Settings
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.fakes.receiver import ENCRYPTION_KEY
from tests.fakes.serving import INTERNAL_TOKEN
from tests.polling import poll_until
from tests.servers.ports import free_port
from tests.servers.seaweedfs import S3Credentials
from tests.service.core.builders import add_job

_organizations = count(1)


@dataclass(frozen=True)
class Tenant:
    """A project with a key, all of its own."""

    principal: Principal
    key: str


@dataclass(frozen=True)
class RunningApi:
    """Where it answers, and its database for what only workers would write."""

    url: str
    settings: Settings
    database: Database
    _server: uvicorn.Server

    def stop(self) -> None:
        """As SIGTERM does: no new work, open streams may end."""
        self._server.should_exit = True

    def new_tenant(self) -> Tenant:
        return self.new_project(f"org{next(_organizations)}", "default")

    def new_project(self, organization: str, name: str) -> Tenant:
        """Another project, of an organisation that there may be already."""
        key = new_api_key()
        hashed = hash_api_key(key, self.settings)
        with self.database.transaction() as connection:
            access = AccessRepository(connection)
            scope = access.ensure_project(organization, name)
            access.add_key(scope.project_id, name="test", hashed=hashed, last4=key[-4:])
            principal = access.find_principal(hashed)
        assert principal is not None
        return Tenant(principal, key)

    def new_key(self, tenant: Tenant, *scopes: KeyScope, expires_in: float | None = None) -> Tenant:
        """Another key of the tenant's project; an administrator's key is of its organisation."""
        key = new_api_key(admin=KeyScope.ADMIN in scopes)
        hashed, scope = hash_api_key(key, self.settings), tenant.principal.scope
        with self.database.transaction() as connection:
            made = KeyRepository(connection, scope.organization_id).add(
                scope.project_id,
                name="test",
                hashed=hashed,
                last4=key[-4:],
                scopes=frozenset(scopes),
                expires_in=expires_in,
            )
        return Tenant(Principal(scope, made.id, made.scopes), key)

    def publish_model(
        self, tenant: Tenant, name: str, digest: str, *, base: BaseState | EmbedderState = FAKE_BASE
    ) -> str:
        """As a worker does it, with a checkpoint at step 3; returns the job's id."""
        scope = tenant.principal.scope
        delta = Delta(f"p/{scope.project_id}/{digest}", digest)
        with self.database.transaction() as connection:
            job = add_job(connection, scope, base=base.name)
            CheckpointRepository(connection, scope).add(
                job.id, tuned_model=name, step=3, metrics={}, delta=delta
            )
            ModelRepository(connection, scope).add(
                name,
                base=base.name,
                base_digest=base.digest,
                job_id=job.id,
                delta=delta,
            )
        return job.id

    def client(self, tenant: Tenant) -> httpx2.Client:
        """Plain HTTP, for what the SDK would not send."""
        return httpx2.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {tenant.key}"}, timeout=30
        )

    def sdk(self, tenant: Tenant, *, max_retries: int = 0) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=f"{self.url}/v1", api_key=tenant.key, max_retries=max_retries, timeout=30
        )

    def async_sdk(self, tenant: Tenant) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=tenant.key, max_retries=0, timeout=30
        )

    def report(self, engine: FakeEngine) -> httpx2.Response:
        """What an engine does every two seconds."""
        state = engine.state()
        return httpx2.put(
            f"{self.url}/internal/engines/{state.id}",
            content=state.model_dump_json(),
            headers={
                "Authorization": f"Bearer {INTERNAL_TOKEN}",
                "Content-Type": "application/json",
            },
        )


def api_settings(
    folder: Path, s3_credentials: S3Credentials, valkey_url: str, **changes: object
) -> Settings:
    """Settings of an api on a SQLite file of its own."""
    return Settings.model_validate(
        {
            "database_url": f"sqlite:///{folder / 'tunery.db'}",
            "cache_dir": folder / "cache",
            "redis_url": valkey_url,
            "internal_token": INTERNAL_TOKEN,
            "encryption_keys": ENCRYPTION_KEY,
            "webhook_allow_private": True,
            "api_port": free_port(),
            "drain_seconds": 5,
            **s3_credentials.as_settings(),
            **changes,
        }
    )


@contextmanager
def running_api(settings: Settings) -> Iterator[RunningApi]:
    """Served as `service.api.main` serves it, on a migrated database."""
    upgrade(settings.database_url)
    prepare(settings)
    config = api_uvicorn_config(create_app(settings), settings)
    config.port = settings.api_port
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="api-server")
    thread.start()
    database = Database(settings.database_url)
    try:
        poll_until(lambda: server.started or not thread.is_alive(), "the api starts")
        yield RunningApi(f"http://127.0.0.1:{settings.api_port}", settings, database, server)
    finally:
        server.should_exit = True
        thread.join()
        database.dispose()


@contextmanager
def reporting(api: RunningApi, engine: FakeEngine) -> Iterator[None]:
    """Keeps the engine in the registry until the block ends."""
    stopped = threading.Event()

    def report_until_stopped() -> None:
        while not stopped.wait(1):
            api.report(engine)

    assert api.report(engine).status_code == 204
    thread = threading.Thread(target=report_until_stopped, name="engine-reporter")
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
