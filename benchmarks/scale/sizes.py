"""At which sizes something is measured. Pure."""

__all__ = ["sizes"]


def sizes(top: int, *, first: int = 10) -> list[int]:
    """Return powers of ten from `first` on that are below `top`, and `top`."""
    found = []
    while first < top:
        found.append(first)
        first *= 10
    return [*found, top]
