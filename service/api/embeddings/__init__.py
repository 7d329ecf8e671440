"""Embeddings: texts or token ids become vectors."""
