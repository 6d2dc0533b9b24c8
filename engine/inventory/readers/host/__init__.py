"""Readers of what describes the machine around its accelerators."""
