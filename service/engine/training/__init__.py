"""Training: sessions of one adapter each, whose micro-batches share the base's passes."""
