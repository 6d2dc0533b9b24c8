"""Files in: YAML and JSON read safely, every value with its place, checked against JSON Schema."""

from engine.documents.document import Document, Limits
from engine.documents.files import is_path_like, parse_document, read_document, read_text
from engine.documents.schema import check_schema, validate

__all__ = [
    "Document",
    "Limits",
    "check_schema",
    "is_path_like",
    "parse_document",
    "read_document",
    "read_text",
    "validate",
]
