"""Readers and detection of Cambricon's devices."""
