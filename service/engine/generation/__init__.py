"""Serving: streams of tokens from one base and any mix of adapters, over a paged cache."""
