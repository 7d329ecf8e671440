"""Batches of requests: read, sent to the api, answered into files."""
