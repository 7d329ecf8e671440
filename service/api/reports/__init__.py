"""What was found in uploaded files."""
