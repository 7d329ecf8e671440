"""Backups of the whole service: the database at one moment, and every object that it needs."""
