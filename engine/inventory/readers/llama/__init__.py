"""Readers of llama.cpp's logs."""
