"""What long operations look like, whatever they do."""
