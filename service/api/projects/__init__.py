"""Projects of an organisation and their limits, for its administrators."""
