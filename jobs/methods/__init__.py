"""One file a training method, as plain Python over an engine session; `loop` has their epochs."""
