"""One attempt at a piece of work: claim, loop, publish."""
