"""Readers of Ray's resources."""
