"""Everything that can answer: bases, tuned models, checkpoints."""
