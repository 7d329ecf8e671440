"""Text for an embedding model: ids with the special tokens around that the model was made with."""

from collections.abc import Sequence

from tokenizers import Tokenizer

from service.core.text.assets import TextAssets


class EmbeddingCodec:
    """Built once a model; thread-safe."""

    def __init__(self, assets: TextAssets) -> None:
        self._tokenizer = Tokenizer.from_str(assets.tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # "[SEP]" of a user is five characters
        self._before, self._after = self._surroundings()

    @property
    def vocabulary(self) -> int:
        """Ids are below it."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text).ids)

    def surround(self, tokens: Sequence[int]) -> list[int]:
        """Ids of a caller's own tokenising, which lack the special tokens around."""
        return [*self._before, *tokens, *self._after]

    def _surroundings(self) -> tuple[list[int], list[int]]:
        encoded = self._tokenizer.encode("a")
        inner = [at for at, special in enumerate(encoded.special_tokens_mask) if not special]
        return list(encoded.ids[: inner[0]]), list(encoded.ids[inner[-1] + 1 :])
