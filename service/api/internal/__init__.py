"""What engines tell the api. Not for users."""
