"""Chat completions, whole and streamed."""
