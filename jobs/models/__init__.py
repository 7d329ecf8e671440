"""Models on their way in and out: imports of adapters trained elsewhere, exports as files."""
