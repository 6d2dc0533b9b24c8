"""Readers of Ollama's log."""
