"""Imports: adapters trained elsewhere become models here."""
