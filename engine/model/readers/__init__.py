"""Readers of models: one self-registering module per source."""
