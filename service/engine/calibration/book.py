"""Measurements of one base, kept over restarts, and the laws fitted to them."""

import hashlib
import json
import logging
import os
import threading
from collections import deque
from pathlib import Path

import torch

from service.core.engine_protocol import Calibration, Law, ModelShapes
from service.core.estimates import Observation, fit
from service.core.estimates.laws import PRIORS, Features, LawName
from service.engine.calibration.metering import MemoryMeter
from service.engine.environment import environment_of
from service.engine.parts import LoadedBase

logger = logging.getLogger(__name__)

_KEPT = 200
"""Of each law, the last ones: a machine changes."""
_FORMAT = 2
"""Raised with every change of a law's features, since older observations then say nothing."""


class CalibrationBook:
    """Thread-safe; the step loop writes, the front reads."""

    def __init__(
        self, base: LoadedBase, shapes: ModelShapes, *, micro_batch_tokens: int, folder: Path
    ) -> None:
        """What was measured before, with these weights, device and torch, is read from `folder`."""
        self.base, self.shapes = base, shapes
        self.meter = MemoryMeter(base.device)
        self._micro_batch_tokens = micro_batch_tokens
        self._environment = environment_of(base)
        self._file = folder / f"{_key(base, self._environment)}.json"
        self._lock = threading.Lock()
        self._kept: dict[str, deque[Observation]] = {}
        self._fitted: dict[str, Law] = {}
        self._stale: set[str] = set()
        self._resident = 0
        self.is_calibrated = False
        """Whether the first measurements have all been made."""
        self._read()

    def add(
        self, law: LawName, features: Features, value: float, scale: float | None = None
    ) -> None:
        with self._lock:
            kept = self._kept.setdefault(law, deque(maxlen=_KEPT))
            kept.append(Observation(features, value, scale))
            self._stale.add(law)

    @property
    def resident(self) -> int:
        """Memory while no session was open, as it was last."""
        return self._resident

    def note_resident(self) -> None:
        """Called while no session is open; the peak of the next one counts from here."""
        now = self.meter.now()
        self.meter.reset()
        with self._lock:
            self._resident = now

    def calibration(self) -> Calibration:
        """As of now."""
        with self._lock:
            for name in self._stale:
                law = fit(self._kept[name], PRIORS.get(name))  # type: ignore[call-overload]
                if law is not None:
                    self._fitted[name] = law
            self._stale.clear()
            return Calibration(
                base=self.base.name,
                digest=self.base.digest,
                device=self._environment["device"],
                laws=dict(self._fitted),
                resident_bytes=self._resident,
                micro_batch_tokens=self._micro_batch_tokens,
                shapes=self.shapes,
            )

    def save(self) -> None:
        """Written beside and renamed. A disk that is full costs a calibration and nothing else."""
        with self._lock:
            content = json.dumps(
                {
                    "format": _FORMAT,
                    "is_calibrated": self.is_calibrated,
                    "kept": {
                        name: [[o.features, o.value, o.scale] for o in kept]
                        for name, kept in self._kept.items()
                    },
                }
            )
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            beside = self._file.with_suffix(f".{os.getpid()}")
            beside.write_text(content)
            beside.replace(self._file)
        except OSError as error:
            logger.warning("the calibration of %s is not kept: %s", self.base.name, error)

    def _read(self) -> None:
        try:
            stored = json.loads(self._file.read_text())
            if stored["format"] != _FORMAT:
                return
            for name, kept in stored["kept"].items():
                observations = (Observation(tuple(x), y, scale) for x, y, scale in kept)
                self._kept[name] = deque(observations, maxlen=_KEPT)
            self.is_calibrated = stored["is_calibrated"]
            self._stale = set(self._kept)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s is no calibration and is measured anew: %r", self._file, error)
            self._kept.clear()


def _key(base: LoadedBase, environment: dict[str, str]) -> str:
    parts = [base.digest, environment["device"], environment["threads"], torch.__version__]
    return hashlib.sha256("\n".join([*parts, str(base.dtype)]).encode()).hexdigest()[:32]
