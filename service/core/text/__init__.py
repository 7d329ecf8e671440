"""Text to tokens and back: templates, loss spans, stop strings.

The api and the workers both use this, so training and serving cannot differ. The result equals
transformers' `apply_chat_template`; transformers itself is only the tests' oracle.
"""

from service.core.text.assets import TextAssets
from service.core.text.codec import TextCodec
from service.core.text.embedding import EmbeddingCodec
from service.core.text.spans import TrainingTokens
from service.core.text.stream import TokenStream
from service.core.text.tool_calls import CallDelta, Found, ToolCallParser
from service.core.text.tool_format import ToolFormat

__all__ = [
    "CallDelta",
    "EmbeddingCodec",
    "Found",
    "TextAssets",
    "TextCodec",
    "TokenStream",
    "ToolCallParser",
    "ToolFormat",
    "TrainingTokens",
]
