"""The streams of one base: who waits, who is computed, who gives way."""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count

import torch

from service.core.engine_protocol import AddRequest, FinishReason, StreamTokens, TokenLogprob
from service.core.errors import (
    AdapterCorrupt,
    ContextLengthExceeded,
    InvalidRequest,
    ServiceError,
    TrainingDiverged,
)
from service.engine.generation.frames import FrameCollector
from service.engine.generation.guides import GuideCompiler
from service.engine.generation.kv_cache import KvCache
from service.engine.generation.logit_rules import LogitRules
from service.engine.generation.passes import Sampled, StreamPasses
from service.engine.generation.resident_adapters import ResidentAdapters, ServedModel
from service.engine.generation.stream import Stream
from service.engine.interface import FrameSink
from service.engine.parts import AdapterSource, DeltaWeights, EngineLimits
from service.engine.runner import BaseRunner
from service.engine.variants import Variants


class BaseStreams:
    """Continuous batching with chunked prefill. Used by the step loop alone, but for the counts."""

    def __init__(
        self,
        variants: Variants,
        source: AdapterSource,
        limits: EngineLimits,
        frames: FrameCollector,
        wake: Callable[[], None],
    ) -> None:
        """`wake` is called from other threads when an adapter has arrived."""
        self._runner = runner = variants.get(None)
        self._limits = limits
        self._frames = frames
        self._wake = wake
        self._adapters = ResidentAdapters(variants, source)
        self._cache = KvCache(
            runner.kv_layers,
            tokens=limits.kv_cache_tokens,
            block_tokens=limits.kv_block_tokens,
            dtype=runner.base.dtype,
            device=runner.base.device,
        )
        self._passes: dict[BaseRunner, StreamPasses] = {}
        self._guides = GuideCompiler(runner.base.text, vocabulary=runner.vocabulary)
        self._arrivals = count()
        self._waiting: deque[Stream] = deque()
        self._running: list[Stream] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def active(self) -> int:
        """Streams that have not ended."""
        return len(self._waiting) + len(self._running)

    @property
    def drawn(self) -> int:
        """Of these, streams of training sessions."""
        return sum(stream.is_drawn for stream in (*self._waiting, *self._running))

    @property
    def can_step(self) -> bool:
        """Whether a step would compute something or bring something to its end."""
        return bool(self._running) or any(stream.is_ready for stream in self._waiting)

    def add(self, request: AddRequest, sink: FrameSink) -> None:
        """Put a stream into the waiting line, or end it with its error."""
        self._add(Stream(request, sink, next(self._arrivals)))

    def add_drawn(self, request: AddRequest, sink: FrameSink, model: ServedModel) -> None:
        """As `add`, with weights in training. The stop token is told like the others."""
        stream = Stream(request, sink, next(self._arrivals), is_drawn=True)
        stream.runner, stream.adapter = model.runner, model.adapter
        self._add(stream)

    def _add(self, stream: Stream) -> None:
        request, sink = stream.request, stream.sink
        stream.rules = LogitRules.of(
            request.sampling, request.tokens, device=self._runner.base.device
        )
        try:
            self._check(stream)
        except ServiceError as error:
            self._frames.finish(sink, request.request, "error", error)
            return
        self._waiting.append(stream)
        if request.model.delta is not None:
            stream.loading = self._adapters.pin(request.model.delta)
            stream.loading.add_done_callback(lambda _: self._wake())
        if request.sampling.guide is not None:
            stream.guiding = self._guides.compile(request.sampling.guide)
            stream.guiding.add_done_callback(lambda _: self._wake())

    def abort(self, request: str, sink: FrameSink) -> None:
        for stream in (*self._waiting, *self._running):
            if stream.request.request == request and stream.sink == sink:
                self._finish(stream, "abort")
                return

    def close(self, error: ServiceError) -> None:
        """End every stream, because nothing will be computed any more."""
        self._guides.close()
        for stream in (*self._waiting, *self._running):
            self._finish(stream, "error", error)

    @torch.inference_mode()
    def step(self) -> None:
        """Admit, then one token for every stream that can have one, then a chunk of prompts."""
        self._admit()
        self._make_room()
        decoding = [stream for stream in self._running if stream.pending == 1]
        prefilling = [stream for stream in self._running if stream.pending > 1]
        for runner, streams in _by_runner(decoding):
            self._deliver(self._passes_of(runner).decode(streams))
        budget = self._limits.prefill_chunk_tokens
        for runner, streams in _by_runner(prefilling):
            if budget:
                pending = sum(stream.pending for stream in streams)
                scored, sampled = self._passes_of(runner).prefill(streams, budget)
                budget -= min(pending, budget)
                for growth in scored:
                    self._report(growth.stream, prompt_logprobs=growth.logprobs)
                self._deliver(sampled)

    def _passes_of(self, runner: BaseRunner) -> StreamPasses:
        """All variants of the base share one cache."""
        if runner not in self._passes:
            self._passes[runner] = StreamPasses(runner, self._cache)
        return self._passes[runner]

    def _check(self, stream: Stream) -> None:
        base = self._runner.base
        wanted = len(stream.tokens) + stream.request.sampling.max_tokens
        room = min(base.context_length, self._cache.blocks * self._cache.block_tokens)
        if wanted > room:
            raise ContextLengthExceeded(
                f"{len(stream.tokens)} prompt tokens and {stream.request.sampling.max_tokens} "
                f"answer tokens do not fit the {room} tokens of {base.name!r}"
            )
        if not all(0 <= token < self._runner.vocabulary for token in stream.tokens):
            raise InvalidRequest(f"the prompt holds a token that {base.name!r} does not know")
        sampling = stream.request.sampling
        for param, tokens in (
            ("logit_bias", sampling.logit_bias),
            ("stop_token_ids", sampling.stop_token_ids),
        ):
            if not all(0 <= token < self._runner.vocabulary for token in tokens):
                raise InvalidRequest(
                    f"'{param}' names a token that {base.name!r} does not know; it knows "
                    f"{self._runner.vocabulary}.",
                    param=param,
                )

    def _admit(self) -> None:
        """First come, first served; a stream whose adapter is on its way holds up nobody."""
        for stream in tuple(self._waiting):
            if not stream.is_ready or not self._equip(stream):
                continue
            blocks = self._cache.blocks_for(len(stream.tokens))
            no_place = len(self._running) >= self._limits.max_streams
            if no_place or blocks > self._cache.free_blocks:
                return
            self._waiting.remove(stream)
            stream.blocks = self._cache.take(blocks)
            self._running.append(stream)

    def _equip(self, stream: Stream) -> bool:
        """Whether the stream can go on; one with a broken adapter or guide has ended."""
        delta = stream.request.model.delta
        try:
            if stream.runner is None:
                stream.runner = self._runner
                if delta is not None:
                    assert stream.loading is not None
                    model = self._adapters.cast(delta, stream.loading)
                    _refuse_head(stream.loading.result())
                    stream.runner, stream.adapter = model.runner, model.adapter
            if stream.guiding is not None and stream.rules is not None:
                stream.rules.matcher, stream.guiding = stream.guiding.result(), None
        except ServiceError as error:
            self._finish(stream, "error", error)
            return False
        return True

    def _make_room(self) -> None:
        """A place in the cache for every pending token; the youngest give theirs to the oldest."""
        for stream in sorted(self._running, key=lambda stream: stream.arrival):
            missing = self._cache.blocks_for(len(stream.tokens)) - len(stream.blocks)
            while stream in self._running and missing > self._cache.free_blocks:
                self._preempt(max(self._running, key=lambda other: other.arrival))
            if stream in self._running:
                stream.blocks += self._cache.take(missing)

    def _preempt(self, stream: Stream) -> None:
        """Back to the head of the line; its tokens stay and are computed again."""
        self._release_blocks(stream)
        self._running.remove(stream)
        self._waiting.appendleft(stream)

    def _deliver(self, found: Sequence[Sampled]) -> None:
        for sampled in found:
            try:
                self._take(sampled)
            except ServiceError as error:
                self._finish(sampled.stream, "error", error)

    def _take(self, sampled: Sampled) -> None:
        """Append the token, or end the stream. Raises what ends it with an error."""
        stream, token = sampled.stream, sampled.token
        sampling = stream.request.sampling
        if token is None:
            raise _not_finite(stream)
        if stream.answered == sampling.max_tokens:  # nothing was to be drawn
            self._finish(stream, "length")
            return
        logprobs = () if sampled.logprob is None else (sampled.logprob,)
        if token in sampling.stop_token_ids:
            if stream.is_drawn:
                self._report(stream, tokens=(token,), logprobs=logprobs)
            self._finish(stream, "stop")
        else:
            stream.append(token)
            self._report(stream, tokens=(token,), logprobs=logprobs)
            self._finish_if_complete(stream)

    def _finish_if_complete(self, stream: Stream) -> None:
        if stream.rules is not None:
            stream.rules.check()
        if stream.rules is not None and stream.rules.is_complete:
            self._finish(stream, "stop")
        elif stream.answered == stream.request.sampling.max_tokens:
            self._finish(stream, "length")

    def _report(
        self,
        stream: Stream,
        *,
        tokens: tuple[int, ...] = (),
        logprobs: tuple[TokenLogprob, ...] = (),
        prompt_logprobs: tuple[TokenLogprob, ...] = (),
    ) -> None:
        # Built of values that are right by construction: this happens for every token.
        growth = StreamTokens.model_construct(
            request=stream.request.request,
            tokens=tokens,
            logprobs=logprobs,
            prompt_logprobs=prompt_logprobs,
        )
        self._frames.add(stream.sink, growth)

    def _finish(
        self, stream: Stream, reason: FinishReason, error: ServiceError | None = None
    ) -> None:
        if stream in self._running:
            self._running.remove(stream)
        else:
            self._waiting.remove(stream)
        self._release_blocks(stream)
        if stream.request.model.delta is not None:
            self._adapters.unpin(stream.request.model.delta)
        self._forget_unused(stream.runner)
        self._frames.finish(stream.sink, stream.request.request, reason, error)

    def _forget_unused(self, runner: BaseRunner | None) -> None:
        """A variant's memory goes when no stream is computed on it, unless it is kept for later."""
        used = {self._runner, *(s.runner for s in (*self._waiting, *self._running))}
        if runner is not None and runner not in used:
            self._passes.pop(runner, None)

    def _release_blocks(self, stream: Stream) -> None:
        self._cache.give_back(stream.blocks)
        stream.blocks = []
        stream.computed = 0


def _by_runner(streams: Sequence[Stream]) -> list[tuple[BaseRunner, list[Stream]]]:
    """Those that share a pass, in the order of their first."""
    groups: dict[BaseRunner, list[Stream]] = {}
    for stream in streams:
        assert stream.runner is not None
        groups.setdefault(stream.runner, []).append(stream)
    return list(groups.items())


def _refuse_head(loaded: DeltaWeights) -> None:
    if loaded.head is not None:
        raise InvalidRequest(
            "The model answers with labels or scores and not with text; POST it to /v1/classify.",
            param="model",
        )


def _not_finite(stream: Stream) -> ServiceError:
    delta = stream.request.model.delta
    if stream.is_drawn:
        return TrainingDiverged(
            "the weights in training give numbers that are not finite: lower the learning rate"
        )
    if delta is None:
        return ServiceError("the base gave numbers that are not finite")
    return AdapterCorrupt(f"adapter {delta.id} gives numbers that are not finite")
