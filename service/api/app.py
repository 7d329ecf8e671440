"""`create_app`: the whole HTTP application of one api process."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from service.api import error_handlers
from service.api.aliases.routes import router as aliases
from service.api.audit_logs.routes import router as audit_logs
from service.api.batches.routes import router as batches
from service.api.chat.routes import router as chat
from service.api.classify.routes import router as classify
from service.api.completions.routes import router as completions
from service.api.dependencies import refuse_unknown_query
from service.api.embeddings.routes import router as embeddings
from service.api.estimates.routes import router as estimates
from service.api.exports.routes import router as exports
from service.api.files.routes import UPLOAD_PATH
from service.api.files.routes import router as files
from service.api.fine_tuning.record_routes import router as job_records
from service.api.fine_tuning.routes import router as fine_tuning
from service.api.graders.routes import router as graders
from service.api.health.routes import router as health
from service.api.idempotency import IdempotencyKeys
from service.api.imports.routes import router as imports
from service.api.integrations.routes import router as integrations
from service.api.internal.routes import router as internal
from service.api.keys.routes import router as keys
from service.api.middleware import BodyLimit, RequestContext
from service.api.models.routes import router as models
from service.api.permissions.routes import router as permissions
from service.api.previews.routes import router as previews
from service.api.projects.routes import router as projects
from service.api.reports.routes import router as reports
from service.api.resources import Resources, State
from service.api.stored_completions.routes import router as stored_completions
from service.api.uploads.routes import PARTS_PATH
from service.api.uploads.routes import router as uploads
from service.api.verifications.routes import router as verifications
from service.api.webhooks.routes import router as webhooks
from service.api.wire import ErrorEnvelope
from service.core.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """An application that connects to nothing until its lifespan starts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        resources = Resources.open(settings)
        ringing = asyncio.create_task(resources.ringer.run())
        try:
            yield State(resources=resources)
        finally:
            ringing.cancel()
            await resources.aclose()

    app = FastAPI(
        title="Tunery",
        version="1",
        description="Fine-tuning and serving of your own models, in the shapes of the OpenAI API.",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(refuse_unknown_query)],
        responses={"4XX": {"model": ErrorEnvelope}, "5XX": {"model": ErrorEnvelope}},
        generate_unique_id_function=lambda route: route.name,
    )
    error_handlers.install(app)
    for router in (
        files,
        uploads,
        reports,
        fine_tuning,
        job_records,
        verifications,
        previews,
        estimates,
        permissions,
        graders,
        aliases,
        imports,
        exports,
        models,
        chat,
        completions,
        embeddings,
        classify,
        stored_completions,
        batches,
        webhooks,
        integrations,
        projects,
        keys,
        audit_logs,
        internal,
        health,
    ):
        app.include_router(router)
    upload_paths = (re.compile(UPLOAD_PATH), PARTS_PATH)
    app.add_middleware(IdempotencyKeys, uploads=upload_paths)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, unlimited=upload_paths)
    app.add_middleware(RequestContext)
    return app
