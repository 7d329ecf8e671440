"""Uploads in parts: files too large for one request."""
