"""Readers and detection of Apple's devices."""
