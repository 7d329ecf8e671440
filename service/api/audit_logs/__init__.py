"""What was done in an organisation, for its administrators."""
