"""Readers and detection of Intel's devices."""
