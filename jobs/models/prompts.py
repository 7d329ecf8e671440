"""What a model is asked for comparison: nothing that anybody would train on."""

from service.core.engine_protocol import Dialogue
from service.core.errors import ChatTemplateError
from service.core.text import TextCodec

_QUESTIONS = (
    "Name three things that float on water.",
    "Write one sentence to a guest whose room is not ready yet.",
    "A train leaves at 09:40 and arrives at 11:05. How long does it take?",
    "def median(values):\n    ",
    "Übersetze ins Englische: Der Schlüssel liegt unter der Matte. 鍵 🔑",
)


def probe_dialogues(codec: TextCodec) -> tuple[Dialogue, ...]:
    """As this base renders them; as plain text where it has no chat template."""
    return tuple(_dialogue(codec, question) for question in _QUESTIONS)


def _dialogue(codec: TextCodec, question: str) -> Dialogue:
    message = {"role": "user", "content": question}
    try:
        return Dialogue(messages=(message,), tokens=tuple(codec.encode_chat_prompt([message])))
    except ChatTemplateError:
        return Dialogue(messages=(), tokens=tuple(codec.encode_text(question)))
