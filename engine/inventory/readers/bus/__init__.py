"""Readers of the PCI bus."""
