"""Readers of what tools print: one folder per maker, one self-registering module per form."""
