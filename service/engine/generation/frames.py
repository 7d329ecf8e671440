"""What one step gave, gathered by connection."""

import logging
from dataclasses import dataclass, field

from service.core.engine_protocol import (
    FinishedStream,
    FinishReason,
    StepFrame,
    StreamTokens,
    to_body,
)
from service.core.errors import ServiceError
from service.engine.interface import FrameSink

logger = logging.getLogger(__name__)


@dataclass
class _Frame:
    tokens: dict[str, list[StreamTokens]] = field(default_factory=dict)
    finished: list[FinishedStream] = field(default_factory=list)


class FrameCollector:
    """Used by the step loop alone."""

    def __init__(self) -> None:
        self._frames: dict[FrameSink, _Frame] = {}

    def add(self, sink: FrameSink, growth: StreamTokens) -> None:
        self._frame(sink).tokens.setdefault(growth.request, []).append(growth)

    def finish(
        self,
        sink: FrameSink,
        request: str,
        reason: FinishReason,
        error: ServiceError | None = None,
    ) -> None:
        body = to_body(error) if error else None
        finished = FinishedStream(request=request, reason=reason, error=body)
        self._frame(sink).finished.append(finished)

    def flush(self) -> None:
        """One frame to every sink that has news."""
        frames, self._frames = self._frames, {}
        for sink, frame in frames.items():
            tokens = tuple(map(StreamTokens.join, frame.tokens.values()))
            try:
                sink(StepFrame(tokens=tokens, finished=tuple(frame.finished)))
            except Exception:  # one broken connection must not end everybody's streams
                logger.exception("a frame could not be delivered")

    def _frame(self, sink: FrameSink) -> _Frame:
        return self._frames.setdefault(sink, _Frame())
