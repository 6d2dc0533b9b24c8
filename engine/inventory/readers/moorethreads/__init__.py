"""Readers and detection of Moore Threads' devices."""
