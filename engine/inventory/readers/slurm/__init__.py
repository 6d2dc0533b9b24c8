"""Readers of Slurm's nodes."""
