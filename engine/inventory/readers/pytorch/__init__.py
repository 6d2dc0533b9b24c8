"""Readers of what PyTorch prints about devices."""
