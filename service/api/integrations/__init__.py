"""Keys for services that jobs report to: stored, never shown again."""
