"""Texts of a special form."""

from typing import NewType

__all__ = ["Time", "Uuid"]

Time = NewType("Time", str)
"""RFC 3339 in UTC with milliseconds: ``2026-01-02T03:04:05.678Z``."""

Uuid = NewType("Uuid", str)
"""A UUID: lower case, with dashes."""
