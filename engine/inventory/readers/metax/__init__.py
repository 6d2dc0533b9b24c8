"""Readers and detection of MetaX's devices."""
