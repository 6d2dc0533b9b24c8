"""Calibrate the speed model: read measurements, fit constants of a server on a product, write a patch."""
