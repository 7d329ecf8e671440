"""One file a version; they only ever add."""
