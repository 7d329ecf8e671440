"""An old model's answers, kept before it disappears, and how like them the new one's are."""

from tunery.migration.capture.distillation import CaptureOptions, Distillation, NothingCaptured
from tunery.migration.capture.equivalence import Equivalence

__all__ = ["CaptureOptions", "Distillation", "Equivalence", "NothingCaptured"]
