"""One file a training method: the loop as plain Python over an engine session."""
