"""The template families that bases use; `templates/` follows their documented formats."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Family:
    """How a family of models writes conversations."""

    name: str
    special: tuple[str, ...]
    bos_token: str
    eos_token: str
    calls: int = 0
    """How many tools it may call in one turn."""
    alternates: bool = False
    """Refuses two user messages in a row."""

    @property
    def template(self) -> str:
        return (Path(__file__).parent / "templates" / f"{self.name}.jinja").read_text()


_CHATML_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

FAMILIES = (
    Family("chatml", _CHATML_TOKENS, "<|im_start|>", "<|im_end|>"),
    Family(
        "llama-3",
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|begin_of_text|>",
        "<|eot_id|>",
        calls=1,
    ),
    Family(
        "gemma",
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        "<bos>",
        "<eos>",
        alternates=True,
    ),
    Family(
        "mistral",
        (
            *("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]"),
            *("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
        ),
        "<s>",
        "</s>",
        calls=2,
    ),
    Family("qwen-2.5", _CHATML_TOKENS, "<|endoftext|>", "<|im_end|>", calls=2),
    Family("qwen-3", _CHATML_TOKENS, "<|endoftext|>", "<|im_end|>", calls=2),
)
