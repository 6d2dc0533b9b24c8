"""Readers and detection of Habana's devices."""
