"""Readers and detection of AWS's devices."""
