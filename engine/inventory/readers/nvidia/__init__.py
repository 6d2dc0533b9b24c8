"""Readers and detection of NVIDIA's devices."""
