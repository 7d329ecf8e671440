"""The public API. Never imports torch, transformers or peft, not even indirectly."""
