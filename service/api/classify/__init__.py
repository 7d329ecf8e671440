"""Classification: texts or conversations become labels or scores."""
