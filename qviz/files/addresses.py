"""Is it a path, or the address of something in object storage?"""

from __future__ import annotations

SCHEMES = ("s3://", "gs://", "gcs://", "az://", "abfs://", "abfss://", "https://", "http://", "file://")
"""How addresses begin."""


def is_address(text: object) -> bool:
    """Whether something names an object, or many, in object storage."""
    return str(text).lower().startswith(SCHEMES)
