"""Tunery: a self-hosted fine-tuning service that speaks the OpenAI fine-tuning API."""
