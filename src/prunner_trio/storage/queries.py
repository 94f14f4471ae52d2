"""A question for jobs as a condition in SQL, put together from constants of this module; values are parameters."""

import json
from collections.abc import Collection

from prunner_trio.model import JobQuery, json_needle

__all__ = ["conditions"]

_ESCAPE = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})
_TEXTS = ("id", "pipeline", "user", "partition", "error", "variables")
_HAS_TEXT = " OR ".join(rf"{column} LIKE ? ESCAPE '\'" for column in _TEXTS)


def conditions(query: JobQuery, without: Collection[int]) -> tuple[str, list[object]]:
    """Return the condition, empty or with its ``WHERE``, and its parameters."""
    found: list[str] = []
    values: list[object] = []

    def add(condition: str, *given: object) -> None:
        found.append(condition)
        values.extend(given)

    compared = {
        "pipeline = ?": query.pipeline,
        "user = ?": query.user,
        "retry_of = ?": query.retry_of,
        "created >= ?": query.since,
        "created < ?": query.until,
        "number < ?": query.before,
        "number > ?": query.after,
    }
    for condition, value in compared.items():
        if value is not None:
            add(condition, value)
    if query.among is not None:
        add("pipeline IN (SELECT value FROM json_each(?))", json.dumps(query.among))
    if query.states:
        add("state IN (SELECT value FROM json_each(?))", json.dumps([state.value for state in query.states]))
    if query.text:
        # NUL ends a text for LIKE; no text of ours has one, so nothing is found, as it should be.
        plain, encoded = (f"%{text.translate(_ESCAPE)}%" for text in (query.text, json_needle(query.text)))
        add(f"({_HAS_TEXT})", *[plain] * (len(_TEXTS) - 1), encoded)
    if without:
        add("number NOT IN (SELECT value FROM json_each(?))", json.dumps(list(without)))
    return (f"WHERE {' AND '.join(found)}" if found else ""), values
