"""What the engine knows of its own speed and memory, and how it finds out."""

from service.engine.calibration.book import CalibrationBook
from service.engine.calibration.self_run import SelfCalibration
from service.engine.calibration.shapes import shapes_of
from service.engine.calibration.watching import TrainingWatch

__all__ = ["CalibrationBook", "SelfCalibration", "TrainingWatch", "shapes_of"]
