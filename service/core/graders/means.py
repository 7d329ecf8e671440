"""What graders cannot do alone, and whoever runs them lends them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from service.core.graders.asking import AskModel
from service.core.graders.python_code import PythonCode

Vectors = Sequence[Sequence[float]]
EmbedTexts = Callable[[Sequence[str]], Awaitable[Vectors]]


@dataclass(frozen=True)
class Means:
    """Ways to ask a model, to embed texts, and to run a stranger's Python."""

    ask: AskModel
    embed: EmbedTexts
    """Raises ModelNotFound where no embedding model is served."""
    python: PythonCode
