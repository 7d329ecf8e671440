"""What a job reports to outside while it trains."""
