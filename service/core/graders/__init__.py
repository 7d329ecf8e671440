"""Graders: from a model's sample to a reward. No torch, no web framework.

`specs` says what a grader is, `grading.Grading` runs one, and whoever runs it lends the means: ways
to ask a model, to embed texts and to run a stranger's Python.
"""

from service.core.graders.asking import AskModel, ModelAnswer, Question
from service.core.graders.checks import check_grader, models_of
from service.core.graders.grading import Grading
from service.core.graders.means import Means
from service.core.graders.outcome import Flags, Outcome
from service.core.graders.python_code import PythonCode
from service.core.graders.specs import Grader

__all__ = [
    "AskModel",
    "Flags",
    "Grader",
    "Grading",
    "Means",
    "ModelAnswer",
    "Outcome",
    "PythonCode",
    "Question",
    "check_grader",
    "models_of",
]
