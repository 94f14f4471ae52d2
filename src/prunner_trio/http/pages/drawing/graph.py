"""The tasks of a pipeline or a job as a graph, with where each stands."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import attrs
from markupsafe import Markup

from prunner_trio.definition.graph import layers
from prunner_trio.http.pages.drawing.layout import Layout, arrange
from prunner_trio.http.pages.drawing.svg import CHAR, Look, cut, number, shown, text_width

__all__ = ["MOST_PLACES", "Node", "graph"]

MOST_PLACES = 600
"""Boxes and edges that pass a column; a graph with more is drawn with one box per layer."""

_LABEL = 30
_TALL, _FLAT, _DISTANCE, _GAP, _MARGIN, _PAD = 42, 30, 12, 52, 10, 10
_TIP = 6


@attrs.frozen
class Node:
    """A task.

    Attributes:
        needs: the tasks that it waits for.
        look: where it stands; None: of a definition, which stands nowhere.
        note: a short text to stand behind the word for its state, such as a duration.
        since: the start of what goes on, as a time in seconds, for a script that counts; None: nothing does.
        href: where its box leads; empty: nowhere.
        handler: it runs after a failure of the others, and stands below them.
    """

    name: str
    needs: tuple[str, ...] = ()
    look: Look | None = None
    note: str = ""
    since: float | None = None
    href: str = ""
    handler: bool = False


def graph(nodes: Sequence[Node], *, title: str, ident: str = "graph", critical: Collection[str] = ()) -> Markup:
    """Return a drawing of tasks and their dependencies.

    Args:
        title: what it shows, for those who cannot see it.
        ident: makes the ids in it different from all others on the page.
        critical: the names on the critical path.
    """
    main = [node for node in nodes if not node.handler]
    layout = arrange(tuple((node.name, node.needs) for node in main), MOST_PLACES)
    if layout is None:
        main = _by_layer(main)
        layout = arrange(tuple((node.name, node.needs) for node in main), len(main))
        assert layout is not None, "a chain has no edge that passes a column"
    row = max(map(_height, main), default=_FLAT) + _DISTANCE
    boxes = _boxes(layout, main, row)
    links = _edges(boxes, layout, row, critical)
    bottom = _MARGIN + layout.height * row + row - _DISTANCE if main else 0.0
    for node in nodes:
        if node.handler:
            boxes[node.name] = _Box(node, _MARGIN, bottom + _DISTANCE, _width(node), _height(node))
            bottom += _DISTANCE + _height(node)
    width = max((box.x + box.width for box in boxes.values()), default=0.0) + _MARGIN
    size = f"{number(width)} {number(bottom + _MARGIN)}"
    drawn = "".join(_drawn(box, critical=box.node.name in critical) for box in boxes.values())
    return Markup(
        f'<svg class="graph" role="group" aria-labelledby="{shown(ident)}-title {shown(ident)}-about" '
        f'width="{number(width)}" height="{number(bottom + _MARGIN)}" viewBox="0 0 {size}">'
        f'<title id="{shown(ident)}-title">{shown(title)}</title>'
        f'<desc id="{shown(ident)}-about">{shown(_about(nodes, layout))}</desc>'
        f'<g class="edges">{"".join(links)}</g>{drawn}</svg>'
    )


def _about(nodes: Sequence[Node], layout: Layout) -> str:
    states = Counter(node.look.word for node in nodes if node.look is not None)
    counts = ": " + ", ".join(f"{count} {word}" for word, count in states.items()) if states else ""
    return f"{_some(len(nodes), 'task')} in {_some(len(layout.columns), 'layer')}{counts}"


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@attrs.frozen
class _Box:
    node: Node
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def _height(node: Node) -> int:
    return _FLAT if node.look is None else _TALL


def _second_line(node: Node) -> str:
    return "" if node.look is None else f"{node.look.icon} {node.look.word}" + (f" · {node.note}" if node.note else "")


def _width(node: Node) -> float:
    # A duration that a script counts up needs room that its first text does not show.
    columns = max(text_width(cut(node.name, _LABEL)), 0.9 * text_width(cut(_second_line(node), 40)), 10)
    return round(CHAR * columns + 2 * _PAD)


def _boxes(layout: Layout, nodes: Sequence[Node], row: float) -> dict[str, _Box]:
    by_name = {node.name: node for node in nodes}
    boxes: dict[str, _Box] = {}
    x = float(_MARGIN)
    for column in layout.columns:
        width = max(_width(by_name[name]) for name in column)
        for name in column:
            boxes[name] = _Box(by_name[name], x, _MARGIN + layout.rows[name] * row, width, row - _DISTANCE)
        x += width + _GAP
    return boxes


def _edges(boxes: Mapping[str, _Box], layout: Layout, row: float, critical: Collection[str]) -> list[str]:
    columns = [boxes[names[0]] for names in layout.columns]
    layer_of = {name: index for index, names in enumerate(layout.columns) for name in names}
    drawn = []
    for (need, name), heights in layout.ways.items():
        passed = columns[layer_of[need] + 1 : layer_of[name]]
        middles = [_MARGIN + height * row + (row - _DISTANCE) / 2 for height in heights]
        way = _way(boxes[need], boxes[name], list(zip(passed, middles, strict=True)))
        kind = "edge critical" if need in critical and name in critical else "edge"
        drawn.append(f'<path class="{kind}" d="{way}"/>{_tip(boxes[name])}')
    return drawn


def _way(start: _Box, end: _Box, passed: Sequence[tuple[_Box, float]]) -> str:
    x, y = start.x + start.width, start.middle
    path = f"M{number(x)} {number(y)}"
    for column, middle in passed:
        path += _curve(x, y, column.x, middle) + f"H{number(column.x + column.width)}"
        x, y = column.x + column.width, middle
    return path + _curve(x, y, end.x - _TIP, end.middle)


def _tip(end: _Box) -> str:
    return f'<path class="tip" d="M{number(end.x)} {number(end.middle)}l-{_TIP + 1} -4v8z"/>'


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    bend = (to_x - x) / 2
    return f"C{number(x + bend)} {number(y)} {number(to_x - bend)} {number(to_y)} {number(to_x)} {number(to_y)}"


def _drawn(box: _Box, *, critical: bool) -> str:
    node = box.node
    kinds = ["node", node.look.kind if node.look else "plain", *(("critical",) if critical else ())]
    kinds += ["handler"] if node.handler else []
    path = ", on the critical path" if critical else ""
    state = f": {node.look.word}" if node.look else ""
    x, y = number(box.x), number(box.y)
    left = number(box.x + _PAD)
    title = f"<title>{shown(node.name)}{shown(state)}{path}</title>"
    rect = f'<rect x="{x}" y="{y}" width="{number(box.width)}" height="{number(box.height)}" rx="6"/>'
    if node.look is None:
        lines = f'<text class="name" x="{left}" y="{number(box.middle + 4.5)}">{shown(cut(node.name, _LABEL))}</text>'
    else:
        stripe = f'<path class="stripe" d="M{number(box.x + 2.5)} {number(box.y + 6)}v{number(box.height - 12)}"/>'
        first = f'<text class="name" x="{left}" y="{number(box.y + 18)}">{shown(cut(node.name, _LABEL))}</text>'
        second = f'<text class="state" x="{left}" y="{number(box.y + 34)}">{_state(node)}</text>'
        lines = stripe + first + second
    inner = f'<g class="{shown(" ".join(kinds))}">{title}{rect}{lines}</g>'
    return f'<a href="{shown(node.href)}">{inner}</a>' if node.href else inner


def _state(node: Node) -> str:
    assert node.look is not None
    start = f"{shown(node.look.icon)} {shown(node.look.word)}"
    if node.since is not None:
        return f'{start} · <tspan class="counting" data-since="{node.since:.3f}">{shown(node.note)}</tspan>'
    return start + (f" · {shown(node.note)}" if node.note else "")


def _by_layer(nodes: Sequence[Node]) -> list[Node]:
    """Return one node per layer, in a chain: what can still be taken in when there are very many tasks."""
    by_name = {node.name: node for node in nodes}
    found = layers({node.name: [need for need in node.needs if need in by_name] for node in nodes})
    chain: list[Node] = []
    for index, column in enumerate(found):
        looks = [look for name in column if (look := by_name[name].look) is not None]
        look = min(looks, key=_urgency, default=None)
        others = Counter(each.word for each in looks)
        note = "" if look is None else f"{others[look.word]} of {len(column)}"
        name = f"{index + 1}: " + (column[0] if len(column) == 1 else _some(len(column), "task"))
        chain.append(Node(name, (chain[-1].name,) if chain else (), look, note))
    return chain


_KINDS = ("bad", "run", "wait", "off", "good", "skip")


def _urgency(look: Look) -> int:
    return _KINDS.index(look.kind) if look.kind in _KINDS else len(_KINDS)
