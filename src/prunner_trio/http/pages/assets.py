"""Static files: read once, and named by what is in them, so that browsers may keep them for ever."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import attrs

__all__ = ["Asset", "read_assets"]

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOLDER = Path(__file__).parent / "static"


@attrs.frozen
class Asset:
    """A file.

    Attributes:
        path: below ``/static/``: a part that changes with the content, then its name.
    """

    path: str
    content_type: str
    content: bytes = attrs.field(repr=False)


def read_assets() -> Mapping[str, Asset]:
    """Return all static files by their names, such as ``vendor/htmx.min.js``."""
    found = {}
    for file in sorted(_FOLDER.rglob("*")):
        if file.suffix in _TYPES:
            name, content = file.relative_to(_FOLDER).as_posix(), file.read_bytes()
            version = hashlib.blake2b(content, digest_size=6).hexdigest()
            found[name] = Asset(f"{version}/{name}", _TYPES[file.suffix], content)
    return found
