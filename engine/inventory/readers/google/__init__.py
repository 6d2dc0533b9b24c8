"""Readers and detection of Google's TPUs."""
