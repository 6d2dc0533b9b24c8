"""Capacity planning: questions that take many decisions — sizing, frontiers and maps of plans."""
