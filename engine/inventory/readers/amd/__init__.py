"""Readers and detection of AMD's devices."""
