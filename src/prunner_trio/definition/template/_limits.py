"""What a rendering may cost."""

import attrs

__all__ = ["Limits"]


@attrs.frozen
class Limits:
    """What one rendering may cost before it is refused.

    Attributes:
        output: characters of the result, and of each string on the way to it.
        steps: texts, commands and iterations count one, function calls and work on long strings several. Ten
            million take some seconds, in which nothing else happens in this thread.
        depth: blocks, parentheses and templates within each other, together.
    """

    output: int = 16 * 1024 * 1024
    steps: int = 10_000_000
    depth: int = 150
