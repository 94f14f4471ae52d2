"""Where the boxes of a graph stand, and the ways of its edges between them.

Tasks stand in columns, each right of all that it depends on. An edge that passes a column has a place of its own in it,
so it never runs through a box. The order within the columns is the best of some sweeps that put each place near the
middle of its neighbors; then all places are moved as close to their neighbors as the distances allow.
"""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import attrs

from prunner_trio.definition.graph import layers

__all__ = ["Layout", "Needs", "arrange"]

Needs = tuple[tuple[str, tuple[str, ...]], ...]
"""Names of tasks, each with those it depends on."""

_SWEEPS = 8
_SETTLINGS = 6


@attrs.frozen
class Layout:
    """Places in a graph; heights are counted in boxes, a distance between two boxes included.

    Attributes:
        columns: the names, column by column, each from top to bottom.
        rows: the middle of each box; the topmost is at 0.
        ways: of each edge, from a need to who needs it: its height in the columns between the two.
        height: the middle of what stands lowest, box or edge.
    """

    columns: tuple[tuple[str, ...], ...]
    rows: Mapping[str, float]
    ways: Mapping[tuple[str, str], tuple[float, ...]]
    height: float


@attrs.define(eq=False)
class _Place:
    """A box, or an edge that passes a column.

    Attributes:
        size: how much of a column it takes.
    """

    name: str
    size: float
    row: float = 0.0
    before: list["_Place"] = attrs.Factory(list)
    after: list["_Place"] = attrs.Factory(list)


_BOX, _PASSING = 1.0, 0.4


@lru_cache(maxsize=64)
def arrange(needs: Needs, most: int) -> Layout | None:
    """Return the places of tasks; None if boxes and passing edges together are more than `most`.

    Needs that are no task are passed over. The same graph has the same places, in whatever order it is given.

    Raises:
        ValueError: there is a cycle.
    """
    names = {name for name, _ in needs}
    graph = {name: sorted({need for need in wanted if need in names}) for name, wanted in sorted(needs)}
    if len(graph) > most:
        return None
    found = layers(graph)
    layer_of = {name: index for index, column in enumerate(found) for name in column}
    edges = [(need, name) for name, wanted in graph.items() for need in wanted]
    if len(graph) + sum(layer_of[name] - layer_of[need] - 1 for need, name in edges) > most:
        return None
    boxes = {name: _Place(name, _BOX) for name in graph}
    columns = [[boxes[name] for name in sorted(column)] for column in found]
    passing = {(need, name): _passing(boxes[need], boxes[name], columns, layer_of) for need, name in edges}
    _settle(columns := _order(columns))
    top = min((place.row for column in columns for place in column), default=0.0)
    lowest = max((place.row for column in columns for place in column), default=0.0)
    return Layout(
        columns=tuple(tuple(place.name for place in column if place.size == _BOX) for column in columns),
        rows={name: place.row - top for name, place in boxes.items()},
        ways={edge: tuple(place.row - top for place in way) for edge, way in passing.items()},
        height=lowest - top,
    )


def _passing(
    start: _Place, end: _Place, columns: Sequence[list[_Place]], layer_of: Mapping[str, int]
) -> tuple[_Place, ...]:
    """Give an edge its places in the columns that it passes, and tell all neighbors of one another."""
    way = []
    last = start
    for layer in range(layer_of[start.name] + 1, layer_of[end.name]):
        place = _Place(f"{start.name}\0{end.name}", _PASSING)
        columns[layer].append(place)
        way.append(place)
        last.after.append(place)
        place.before.append(last)
        last = place
    last.after.append(end)
    end.before.append(last)
    return tuple(way)


def _order(columns: list[list[_Place]]) -> list[list[_Place]]:
    """Return the columns with their places in the order with the fewest crossings that the sweeps found."""
    best, fewest = columns, _crossings(columns)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        columns = _swept(columns, forward=sweep % 2 == 0)
        count = _crossings(columns)
        if count < fewest:
            best, fewest = columns, count
    return best


def _swept(columns: list[list[_Place]], *, forward: bool) -> list[list[_Place]]:
    done: list[list[_Place]] = []
    at: dict[int, float] = {}
    for column in columns if forward else reversed(columns):
        here = {id(place): index for index, place in enumerate(column)}

        def middle(place: _Place, here: Mapping[int, int] = here) -> tuple[float, str]:
            near = place.before if forward else place.after
            return sum(at[id(each)] for each in near) / len(near) if near else float(here[id(place)]), place.name

        ordered = sorted(column, key=middle)
        at.update((id(place), float(index)) for index, place in enumerate(ordered))
        done.append(ordered)
    return done if forward else done[::-1]


def _crossings(columns: Sequence[Sequence[_Place]]) -> int:
    order = {id(place): index for column in columns for index, place in enumerate(column)}
    total = 0
    for column in columns[1:]:
        seen: list[int] = []
        for place in column:
            ends = sorted(order[id(each)] for each in place.before)
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _settle(columns: Sequence[Sequence[_Place]]) -> None:
    """Move all places as near to the middle of their neighbors as order and distances allow."""
    for column in columns:
        _put(column, [0.0] * len(column))
    for turn in range(_SETTLINGS):
        for column in columns if turn % 2 == 0 else reversed(columns):
            _put(column, [_wanted(place) for place in column])


def _wanted(place: _Place) -> float:
    near = place.before + place.after
    return sum(each.row for each in near) / len(near) if near else place.row


def _put(column: Sequence[_Place], wanted: Sequence[float]) -> None:
    """Give each place the row that it wants, or else the least squares of the misses, at the distances needed.

    Without the distances it is an isotonic regression: neighbors that are in each other's way move to their mean.
    """
    offsets = [0.0]
    for above, below in pairwise(column):
        offsets.append(offsets[-1] + (above.size + below.size) / 2)
    blocks: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        total, count = want - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            earlier, size = blocks.pop()
            total, count = total + earlier, count + size
        blocks.append((total, count))
    rows = [total / count for total, count in blocks for _ in range(count)]
    for place, row, offset in zip(column, rows, offsets, strict=True):
        place.row = row + offset
