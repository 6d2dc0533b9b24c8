"""Libraries of functions: each module holds one `LIBRARY` and is discovered."""
