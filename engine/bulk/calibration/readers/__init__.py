"""Readers of measurements: one module per format, registered as `READER`."""
