"""What text needs of a base: a few MB, published by the engine, cached by digest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from service.core.errors import ConfigurationError

_SPECIAL_NAMES = (
    *("bos_token", "eos_token", "pad_token", "unk_token"),
    *("sep_token", "cls_token", "mask_token"),
)


@dataclass(frozen=True)
class TextAssets:
    """Tokenizer and chat template of a base."""

    tokenizer_json: str
    """Content of `tokenizer.json`."""
    chat_template: str | None
    special_tokens: Mapping[str, str]
    """bos_token, eos_token and the like, those that exist; templates refer to them."""
    eos_token_ids: tuple[int, ...]
    """Every id that ends a turn."""
    add_bos: bool
    """Whether raw text begins with BOS. Template output never gets one added."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "TextAssets":
        fields = json.loads(text)
        fields["eos_token_ids"] = tuple(fields["eos_token_ids"])
        return cls(**fields)

    @classmethod
    def from_pretrained_folder(cls, folder: Path) -> "TextAssets":
        """Read a transformers model folder. Raises ConfigurationError without tokenizer.json."""
        tokenizer = folder / "tokenizer.json"
        if not tokenizer.is_file():
            raise ConfigurationError(f"{folder} has no tokenizer.json: not a usable base model")
        config = _read(folder / "tokenizer_config.json")
        special = _special_tokens({**_read(folder / "special_tokens_map.json"), **config})
        tokenizer_json = tokenizer.read_text("utf-8")
        return cls(
            tokenizer_json=tokenizer_json,
            chat_template=_template(folder, config),
            special_tokens=special,
            eos_token_ids=_eos_ids(folder, tokenizer_json, special.get("eos_token")),
            add_bos=_adds_bos(tokenizer_json, config, special.get("bos_token")),
        )


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """A token is written as a string or as an object with `content`."""
    found = {}
    for name in _SPECIAL_NAMES:
        value = config.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            found[name] = value
    return found


def _template(folder: Path, config: Mapping[str, Any]) -> str | None:
    beside = folder / "chat_template.jinja"
    if beside.is_file():
        return beside.read_text("utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):  # several named ones
        template = next((t["template"] for t in template if t.get("name") == "default"), None)
    return template if isinstance(template, str) else None


def _eos_ids(folder: Path, tokenizer_json: str, eos_token: str | None) -> tuple[int, ...]:
    """From the generation config, the model config and the tokenizer, whichever say."""
    ids: set[int] = set()
    for source in (_read(folder / "generation_config.json"), _read(folder / "config.json")):
        declared = source.get("eos_token_id")
        if declared is not None:
            ids.update(declared if isinstance(declared, list) else [declared])
    for token in json.loads(tokenizer_json).get("added_tokens", []):
        if token["content"] == eos_token:
            ids.add(token["id"])
    return tuple(sorted(ids))


def _adds_bos(tokenizer_json: str, config: Mapping[str, Any], bos_token: str | None) -> bool:
    """As the config says, else as the tokenizer's own post-processor does."""
    if bos_token is None or "add_bos_token" in config:
        return bos_token is not None and bool(config["add_bos_token"])
    return Tokenizer.from_str(tokenizer_json).encode("a").tokens[:1] == [bos_token]
