"""Runtimes, which evaluate checked expressions: each folder holds one `RUNTIME` and is discovered."""
