"""Readers of documents that describe whole inventories."""
