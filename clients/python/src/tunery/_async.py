"""The asynchronous client: drives flows on the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, Unpack

import httpx2

from tunery._async_parts import send_in_parts
from tunery._calls import chat as chat_calls
from tunery._calls import classify as classify_calls
from tunery._calls import data as data_calls
from tunery._calls import files as file_calls
from tunery._calls import jobs as job_calls
from tunery._calls import models as model_calls
from tunery._calls import operations as operation_calls
from tunery._calls import verifications as verification_calls
from tunery._config import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, ClientConfig, configure
from tunery._exceptions import connection_error
from tunery._flow import Call, Flow, Outcome, Send
from tunery._following import Follower, follow, until_finished
from tunery._job_streams import AsyncJobEventStream
from tunery._parts import PARTED_ABOVE, UploadState, size_of
from tunery._perform import perform
from tunery._sending import request_arguments
from tunery._streams import AsyncChatStream
from tunery._types import (
    ChatCompletion,
    Checkpoint,
    Classification,
    Deleted,
    File,
    FileReport,
    FineTuningJob,
    JobEvent,
    JobMetrics,
    JobRows,
    Listed,
    Model,
    ModelAlias,
    ModelExport,
    ModelImport,
    Page,
    Preview,
    Receipt,
    Verification,
)
from tunery._uploads import FileSource, OnProgress

T = TypeVar("T")
L = TypeVar("L", bound=Listed)


class _Driver:
    """Carries out the steps of flows."""

    def __init__(self, config: ClientConfig, http: httpx2.AsyncClient) -> None:
        self.config = config
        self.http = http

    async def run(self, flow: Flow[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if isinstance(step, Send):
                outcome = await self._send(step)
            else:
                await asyncio.sleep(step.seconds)
                outcome = None

    async def perform(self, call: Call[T]) -> T:
        return await self.run(perform(call, self.config))

    async def _send(self, send: Send) -> Outcome:
        with request_arguments(send, self.config) as arguments:
            try:
                response = await self.http.send(self.http.build_request(**arguments), stream=True)
                if not (send.call.is_streamed and response.is_success):
                    await response.aread()
                return response
            except httpx2.RequestError as error:
                return error


class AsyncListing(Generic[L]):
    """A list on the server; iterating it fetches page after page."""

    def __init__(self, driver: _Driver, call: Call[Page[L]]) -> None:
        self._driver = driver
        self._call = call

    async def page(self) -> Page[L]:
        """The first page alone."""
        return await self._driver.perform(self._call)

    async def __aiter__(self) -> AsyncIterator[L]:
        call = self._call
        while True:
            page = await self._driver.perform(call)
            for item in page.data:
                yield item
            if not page.has_more or not page.data:
                return
            call = call.with_query(after=page.data[-1].id)


class AsyncFiles:
    """Data sets, and what jobs write."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver

    async def upload(
        self,
        file: FileSource,
        *,
        purpose: str = "fine-tune",
        filename: str | None = None,
        on_progress: OnProgress | None = None,
        state: UploadState | None = None,
    ) -> File:
        """Send a file in pieces; `on_progress` hears of every piece.

        Above 64 MiB it goes in parts, several at once. An upload that was broken off goes on from
        there if it is given the same `state` again, within an hour.
        """
        form = file_calls.form(file, purpose=purpose, filename=filename, on_progress=on_progress)
        if size_of(form) > PARTED_ABOVE:
            return await send_in_parts(self._driver, form, state or UploadState())
        return await self._driver.perform(file_calls.send(form))

    def list(
        self, *, purpose: str | None = None, limit: int | None = None, after: str | None = None
    ) -> AsyncListing[File]:
        """All files, newest first; `limit` is the size of a page."""
        call = file_calls.list_page(purpose=purpose, limit=limit, after=after)
        return AsyncListing(self._driver, call)

    async def retrieve(self, file_id: str) -> File:
        return await self._driver.perform(file_calls.retrieve(file_id))

    async def content(self, file_id: str) -> bytes:
        """The file itself, whole."""
        return await self._driver.perform(file_calls.content(file_id))

    async def download(self, file_id: str, path: str | PathLike[str]) -> None:
        """The file itself, piece by piece to where it shall lie; half a file is never there."""
        target = Path(path)
        beside = target.with_name(f".{target.name}.part")
        response = await self._driver.perform(file_calls.stream(file_id))
        try:
            with beside.open("wb") as file:
                async for piece in response.aiter_bytes():
                    file.write(piece)
            beside.replace(target)
        except httpx2.RequestError as error:
            raise connection_error(error) from error
        finally:
            await response.aclose()
            beside.unlink(missing_ok=True)

    async def report(
        self,
        file_id: str,
        *,
        model: str | None = None,
        method: str | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> FileReport:
        """What was found in a training file so far; `result` is None until it is finished.

        `model` and `method`: whose tokens and which rows, else the default base's and what the
        rows look like. `after`: findings to pass over.
        """
        return await self._driver.perform(
            data_calls.report(file_id, model=model, method=method, after=after, limit=limit)
        )

    async def wait_for_report(
        self,
        file_id: str,
        *,
        model: str | None = None,
        method: str | None = None,
        limit: int | None = None,
        poll_seconds: float = 0.5,
        timeout_seconds: float | None = None,
    ) -> FileReport:
        """The report once it has ended, in whichever way; look at its `status`. Raises
        WaitTimeoutError."""
        return await self._driver.run(
            until_finished(
                data_calls.report(file_id, model=model, method=method, limit=limit),
                self._driver.config,
                on_progress=None,
                poll_seconds=poll_seconds,
                timeout_seconds=timeout_seconds,
            )
        )

    async def delete(self, file_id: str) -> Deleted:
        return await self._driver.perform(file_calls.delete(file_id))


class AsyncVerifications:
    """Finished jobs whose first steps are done once more and compared."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver

    async def create(
        self, job_id: str, *, steps: int = 10, receipt: Mapping[str, Any] | None = None
    ) -> Verification:
        """`receipt`: one that was kept, to be held against the job; else the stored one."""
        call = verification_calls.create(job_id, steps=steps, receipt=receipt)
        return await self._driver.perform(call)

    def list(
        self, job_id: str, *, limit: int | None = None, after: str | None = None
    ) -> AsyncListing[Verification]:
        """A job's verifications, newest first; `limit` is the size of a page."""
        call = verification_calls.list_page(job_id, limit=limit, after=after)
        return AsyncListing(self._driver, call)

    async def retrieve(self, job_id: str, verification_id: str) -> Verification:
        return await self._driver.perform(verification_calls.retrieve(job_id, verification_id))

    async def cancel(self, job_id: str, verification_id: str) -> Verification:
        return await self._driver.perform(verification_calls.cancel(job_id, verification_id))

    async def wait(
        self,
        job_id: str,
        verification_id: str,
        *,
        on_progress: Callable[[Verification], object] | None = None,
        poll_seconds: float = 1.0,
        timeout_seconds: float | None = None,
    ) -> Verification:
        """The verification once it has ended, in whichever way; look at its `status`. Raises
        WaitTimeoutError."""
        return await self._driver.run(
            until_finished(
                verification_calls.retrieve(job_id, verification_id),
                self._driver.config,
                on_progress=on_progress,
                poll_seconds=poll_seconds,
                timeout_seconds=timeout_seconds,
            )
        )


class AsyncJobs:
    """Fine-tuning jobs."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver
        self.verifications = AsyncVerifications(driver)

    async def create(self, **request: Unpack[job_calls.JobRequest]) -> FineTuningJob:
        """Start a job; it goes on whether or not anybody waits."""
        return await self._driver.perform(job_calls.create(request))

    def list(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> AsyncListing[FineTuningJob]:
        """All jobs, newest first, or those with this metadata; `limit` is the size of a page."""
        call = job_calls.list_page(metadata=metadata, limit=limit, after=after)
        return AsyncListing(self._driver, call)

    async def retrieve(self, job_id: str) -> FineTuningJob:
        return await self._driver.perform(job_calls.retrieve(job_id))

    async def cancel(self, job_id: str) -> FineTuningJob:
        """Stop a job for good; its stored checkpoints stay."""
        return await self._driver.perform(job_calls.cancel(job_id))

    async def pause(self, job_id: str) -> FineTuningJob:
        """Store what is trained and give the place up; the job keeps its age in the queue."""
        return await self._driver.perform(job_calls.pause(job_id))

    async def resume(self, job_id: str) -> FineTuningJob:
        """Queue a paused job again; it goes on after its last stored step."""
        return await self._driver.perform(job_calls.resume(job_id))

    def events(
        self, job_id: str, *, limit: int | None = None, after: str | None = None
    ) -> AsyncListing[JobEvent]:
        """What happened to a job, newest first."""
        return AsyncListing(self._driver, job_calls.list_events(job_id, limit=limit, after=after))

    def checkpoints(
        self, job_id: str, *, limit: int | None = None, after: str | None = None
    ) -> AsyncListing[Checkpoint]:
        """Stored states of a job's model, newest first."""
        return AsyncListing(
            self._driver, job_calls.list_checkpoints(job_id, limit=limit, after=after)
        )

    async def metrics(self, job_id: str, *, points: int | None = None) -> JobMetrics:
        """Every metric as a curve of at most so many points."""
        return await self._driver.perform(job_calls.metrics(job_id, points=points))

    async def rows(
        self,
        job_id: str,
        *,
        kind: job_calls.RowsKind = "all",
        offset: int = 0,
        limit: int = 100,
    ) -> JobRows:
        """A page of what each line of the training file lost in each epoch."""
        call = job_calls.rows(job_id, kind=kind, offset=offset, limit=limit)
        return await self._driver.perform(call)

    async def receipt(self, job_id: str) -> Receipt:
        """What a finished job's weights depend on."""
        return await self._driver.perform(job_calls.receipt(job_id))

    def stream_events(self, job_id: str, *, after: str | None = None) -> AsyncJobEventStream:
        """Events as they happen, oldest first or behind the one named, until the job has ended;
        then the stream's `status` says how. A broken connection is taken up again."""
        return AsyncJobEventStream(self._driver, job_id, after=after)

    async def wait(
        self,
        job: FineTuningJob | str,
        *,
        on_event: Callable[[JobEvent], object] | None = None,
        on_job: Callable[[FineTuningJob], object] | None = None,
        poll_seconds: float = 1.0,
        timeout_seconds: float | None = None,
    ) -> FineTuningJob:
        """Return the job once it is finished, in whichever way; look at its `status`.

        `on_event` hears of each event once, oldest first, and `on_job` of the job at each poll.
        Raises WaitTimeoutError after `timeout_seconds`; the job goes on.
        """
        job_id = job if isinstance(job, str) else job.id
        follower = Follower(on_event, on_job, poll_seconds, timeout_seconds)
        return await self._driver.run(follow(job_id, follower, self._driver.config))


class AsyncFineTuning:
    """Training."""

    def __init__(self, driver: _Driver) -> None:
        self.jobs = AsyncJobs(driver)
        self._driver = driver

    async def preview(self, **request: Unpack[data_calls.PreviewRequest]) -> Preview:
        """Rows as a job would train on them: tokens, which of them are trained, what is cut."""
        return await self._driver.perform(data_calls.preview(request))


class AsyncAliases:
    """Further names of models."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver

    async def set(self, alias: str, *, model: str) -> ModelAlias:
        """Give a model a further name, or point the name at another model."""
        return await self._driver.perform(model_calls.set_alias(alias, model))

    def list(
        self, *, limit: int | None = None, after: str | None = None
    ) -> AsyncListing[ModelAlias]:
        """All aliases, newest first; `limit` is the size of a page."""
        return AsyncListing(self._driver, model_calls.list_aliases(limit=limit, after=after))

    async def delete(self, alias: str) -> Deleted:
        """Delete the name; the model stays."""
        return await self._driver.perform(model_calls.delete_alias(alias))


class AsyncModelImports:
    """Adapters trained elsewhere, on their way to be models."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver

    async def create(
        self,
        *,
        base: str,
        file_id: str | None = None,
        files: Mapping[str, str] | None = None,
        suffix: str | None = None,
        base_digest: str | None = None,
    ) -> ModelImport:
        """From one uploaded archive, or from the adapter's two files by name."""
        return await self._driver.perform(
            operation_calls.create_import(
                base=base, file_id=file_id, files=files, suffix=suffix, base_digest=base_digest
            )
        )

    def list(
        self, *, limit: int | None = None, after: str | None = None
    ) -> AsyncListing[ModelImport]:
        """All imports, newest first; `limit` is the size of a page."""
        return AsyncListing(self._driver, operation_calls.list_imports(limit=limit, after=after))

    async def retrieve(self, import_id: str) -> ModelImport:
        return await self._driver.perform(operation_calls.retrieve_import(import_id))

    async def cancel(self, import_id: str) -> ModelImport:
        return await self._driver.perform(operation_calls.cancel_import(import_id))

    async def wait(
        self,
        import_id: str,
        *,
        on_progress: Callable[[ModelImport], object] | None = None,
        poll_seconds: float = 1.0,
        timeout_seconds: float | None = None,
    ) -> ModelImport:
        """The import once it has ended, in whichever way; look at its `status`. Raises
        WaitTimeoutError."""
        return await self._driver.run(
            until_finished(
                operation_calls.retrieve_import(import_id),
                self._driver.config,
                on_progress=on_progress,
                poll_seconds=poll_seconds,
                timeout_seconds=timeout_seconds,
            )
        )


class AsyncModelExports:
    """Tuned models on their way to be files."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver

    async def create(self, model: str, *, format: str) -> ModelExport:
        """`format`: peft, merged or gguf."""
        return await self._driver.perform(operation_calls.create_export(model, format=format))

    def list(
        self, model: str, *, limit: int | None = None, after: str | None = None
    ) -> AsyncListing[ModelExport]:
        """A model's exports, newest first; `limit` is the size of a page."""
        call = operation_calls.list_exports(model, limit=limit, after=after)
        return AsyncListing(self._driver, call)

    async def retrieve(self, model: str, export_id: str) -> ModelExport:
        return await self._driver.perform(operation_calls.retrieve_export(model, export_id))

    async def cancel(self, model: str, export_id: str) -> ModelExport:
        return await self._driver.perform(operation_calls.cancel_export(model, export_id))

    async def wait(
        self,
        model: str,
        export_id: str,
        *,
        on_progress: Callable[[ModelExport], object] | None = None,
        poll_seconds: float = 1.0,
        timeout_seconds: float | None = None,
    ) -> ModelExport:
        """The export once it has ended, in whichever way; look at its `status`. Raises
        WaitTimeoutError."""
        return await self._driver.run(
            until_finished(
                operation_calls.retrieve_export(model, export_id),
                self._driver.config,
                on_progress=on_progress,
                poll_seconds=poll_seconds,
                timeout_seconds=timeout_seconds,
            )
        )


class AsyncModels:
    """Bases, tuned models and their checkpoints."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver
        self.aliases = AsyncAliases(driver)
        self.imports = AsyncModelImports(driver)
        self.exports = AsyncModelExports(driver)

    def list(self) -> AsyncListing[Model]:
        """The default base first, then other bases, then tuned models, newest first."""
        return AsyncListing(self._driver, model_calls.list_page())

    async def retrieve(self, model: str) -> Model:
        return await self._driver.perform(model_calls.retrieve(model))

    async def delete(self, model: str) -> Deleted:
        """Delete a tuned model."""
        return await self._driver.perform(model_calls.delete(model))


class AsyncCompletions:
    """Answers of a model to a conversation."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver

    async def create(self, **request: Unpack[chat_calls.ChatRequest]) -> ChatCompletion:
        """The whole answer at once."""
        return await self._driver.perform(chat_calls.complete(request))

    async def stream(self, **request: Unpack[chat_calls.ChatRequest]) -> AsyncChatStream:
        """The answer as it is written."""
        return AsyncChatStream(await self._driver.perform(chat_calls.stream(request)))


class AsyncChat:
    """Conversations."""

    def __init__(self, driver: _Driver) -> None:
        self.completions = AsyncCompletions(driver)


class AsyncClassify:
    """Labels and scores of models with a head."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver

    async def create(self, *, model: str, input: classify_calls.ClassifyInput) -> Classification:
        """`input`: a text, several, the messages of a conversation, or several conversations."""
        return await self._driver.perform(classify_calls.create(model=model, input=input))


class AsyncTunery:
    """A client of one server; close it, or use it in an `async with` block.

    What is not given comes from TUNERY_BASE_URL and TUNERY_API_KEY, or else OPENAI_BASE_URL and
    OPENAI_API_KEY. An `http_client` that is given stays the caller's to close, and its own
    timeout holds.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float | httpx2.Timeout = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        config = configure(base_url=base_url, api_key=api_key, max_retries=max_retries)
        self._http = http_client or httpx2.AsyncClient(timeout=timeout)
        self._is_ours = http_client is None
        driver = _Driver(config, self._http)
        self.base_url = config.base_url
        self.files = AsyncFiles(driver)
        self.fine_tuning = AsyncFineTuning(driver)
        self.models = AsyncModels(driver)
        self.chat = AsyncChat(driver)
        self.classify = AsyncClassify(driver)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._is_ours:
            await self._http.aclose()
