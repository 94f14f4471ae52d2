"""How states look in the drawings that are tested."""

import attrs


@attrs.frozen
class Look:
    kind: str
    icon: str
    word: str


GOOD, BAD, RUN, WAIT = (
    Look("good", "✓", "done"),
    Look("bad", "✗", "failed"),
    Look("run", "▶", "running"),
    Look("wait", "◷", "waiting"),
)
