"""The graph of a pipeline's tasks: its order, its cycles, and how it is shown."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import attrs

from prunner_trio.definition.pipeline import PipelineDef

__all__ = ["cycles", "layers", "order", "to_dot", "to_svg", "to_text"]

Tasks = Mapping[str, Sequence[str]]
"""Names of tasks, each with those it depends on."""


def order(tasks: Tasks) -> tuple[str, ...]:
    """Return the names so that each comes after all it depends on; of those that are free, the first by name.

    Raises:
        ValueError: there is a cycle, or a dependency that is no task.
    """
    open_needs = {name: len(set(needs)) for name, needs in tasks.items()}
    dependents = _dependents(tasks)
    free = [name for name, count in open_needs.items() if count == 0]
    heapq.heapify(free)
    done: list[str] = []
    while free:
        name = heapq.heappop(free)
        done.append(name)
        for dependent in dependents.get(name, ()):
            open_needs[dependent] -= 1
            if open_needs[dependent] == 0:
                heapq.heappush(free, dependent)
    if len(done) < len(tasks):
        raise ValueError("tasks depend on one another in a cycle, or on a task that is not there")
    return tuple(done)


def _dependents(tasks: Tasks) -> dict[str, list[str]]:
    dependents: dict[str, list[str]] = {}
    for name, needs in tasks.items():
        for need in set(needs):
            dependents.setdefault(need, []).append(name)
    return dependents


def layers(tasks: Tasks) -> list[list[str]]:
    """Return the names in layers, each after all layers with something it depends on, in the order of `order`.

    Raises:
        ValueError: see `order`.
    """
    layer_of: dict[str, int] = {}
    found: list[list[str]] = []
    for name in order(tasks):
        layer_of[name] = layer = 1 + max((layer_of[need] for need in tasks[name]), default=-1)
        if layer == len(found):
            found.append([])
        found[layer].append(name)
    return found


def cycles(tasks: Tasks) -> Iterator[tuple[str, ...]]:
    """Yield cycles as paths `(a, b, a)`, where each depends on the next; the last step is what closes the cycle.

    One for each dependency that, on a walk by name, leads back to where the walk has come from: without these
    dependencies there is no cycle left. Dependencies that are no task are passed over.
    """
    seen: set[str] = set()
    for start in sorted(tasks):
        if start not in seen:
            yield from _cycles_from(start, tasks, seen)


def _cycles_from(start: str, tasks: Tasks, seen: set[str]) -> Iterator[tuple[str, ...]]:
    path, position = [start], {start: 0}
    pending = [iter(tasks[start])]
    seen.add(start)
    while pending:
        need = next(pending[-1], None)
        if need is None:
            pending.pop()
            del position[path.pop()]
        elif need in position:
            yield (*path[position[need] :], need)
        elif need in tasks and need not in seen:
            seen.add(need)
            position[need] = len(path)
            path.append(need)
            pending.append(iter(tasks[need]))


def to_text(pipeline: PipelineDef) -> str:
    """Return the tasks in their order, a line each, with what they depend on; ends with a newline."""
    width = min(40, max((len(_visible(task.name)) for task in pipeline.tasks), default=0))
    lines = [_visible(pipeline.name)]
    for task in pipeline.tasks:
        needs = f"  ← {', '.join(map(_visible, task.depends_on))}" if task.depends_on else ""
        lines.append(f"  {_visible(task.name):{width}}{needs}".rstrip())
    if pipeline.on_error is not None:
        lines.append(f"  {pipeline.on_error.name:{width}}  ← any failure")
    return "\n".join(lines) + "\n"


def to_dot(pipeline: PipelineDef) -> str:
    """Return the graph for Graphviz: an arrow leads from each task to those that depend on it."""
    lines = [
        f"digraph {_dot(pipeline.name)} {{",
        "  rankdir=LR;",
        '  node [shape=box, style=rounded, fontname="sans-serif"];',
    ]
    lines += [f"  {_dot(task.name)};" for task in pipeline.tasks]
    lines += [f"  {_dot(need)} -> {_dot(task.name)};" for task in pipeline.tasks for need in task.depends_on]
    if pipeline.on_error is not None:
        lines.append(f"  {_dot(pipeline.on_error.name)} [style=dashed];")
    return "\n".join([*lines, "}"]) + "\n"


def _dot(name: str) -> str:
    text = _visible(name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _visible(name: str) -> str:
    """Escape what would move a terminal's cursor or is not allowed in XML."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


_CHAR, _ROW, _HEIGHT, _GAP, _MARGIN = 8, 48, 32, 56, 16
_LONGEST_LABEL = 32
_STYLE = """
  svg { color-scheme: light dark; --ink: #1f2328; --line: #6e7781; --box: #f6f8fa; }
  @media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --line: #8b949e; --box: #21262d; } }
  rect { fill: var(--box); stroke: var(--line); }
  rect.handler { stroke-dasharray: 4 3; }
  text { fill: var(--ink); font: 13px ui-monospace, monospace; text-anchor: middle; dominant-baseline: central; }
  path { fill: none; stroke: var(--line); stroke-width: 1.5; }
  marker path { fill: var(--line); stroke: none; }
"""


@attrs.frozen
class _Box:
    name: str
    x: int
    y: int
    width: int

    @property
    def middle(self) -> int:
        return self.y + _HEIGHT // 2


def to_svg(pipeline: PipelineDef) -> str:
    """Return the graph as an SVG picture that needs nothing else, readable on light and dark ground.

    Tasks stand in columns, each right of all that it depends on; the handler below.
    """
    needs = {task.name: task.depends_on for task in pipeline.tasks}
    boxes = _layout(needs)
    width = max((box.x + box.width for box in boxes.values()), default=_MARGIN) + _MARGIN
    height = max((box.y + _HEIGHT for box in boxes.values()), default=0) + _MARGIN
    shapes = [_arrow(boxes[need], boxes[name]) for name, all_needs in needs.items() for need in all_needs]
    shapes += [_drawn(box) for box in boxes.values()]
    if pipeline.on_error is not None:
        name = pipeline.on_error.name
        shapes.append(_drawn(_Box(name, _MARGIN, height, _box_width(name)), "handler"))
        width, height = max(width, _box_width(name) + 2 * _MARGIN), height + _HEIGHT + _MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    marker = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>'
    )
    title = f"<title>{escape(_visible(pipeline.name))}</title>"
    return "\n".join([head, title, f"<style>{_STYLE}</style>", marker, *shapes, "</svg>"]) + "\n"


def _layout(needs: Tasks) -> dict[str, _Box]:
    boxes: dict[str, _Box] = {}
    x = _MARGIN
    for names in layers(needs):
        # Close to the middle of what it depends on, a box needs the fewest crossing arrows.
        names.sort(key=lambda name: (sum(boxes[need].y for need in needs[name]) / max(1, len(needs[name])), name))
        for row, name in enumerate(names):
            boxes[name] = _Box(name, x, _MARGIN + row * _ROW, _box_width(name))
        x += max(boxes[name].width for name in names) + _GAP
    return boxes


def _label(name: str) -> str:
    text = _visible(name)
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def _box_width(name: str) -> int:
    return _CHAR * len(_label(name)) + 24


def _drawn(box: _Box, kind: str = "task") -> str:
    rect = f'<rect class="{kind}" x="{box.x}" y="{box.y}" width="{box.width}" height="{_HEIGHT}" rx="6"/>'
    text = f'<text x="{box.x + box.width // 2}" y="{box.middle}">{escape(_label(box.name))}</text>'
    return f"<g><title>{escape(_visible(box.name))}</title>{rect}{text}</g>"


def _arrow(start: _Box, end: _Box) -> str:
    x, bend = start.x + start.width, _GAP // 2
    curve = f"M{x} {start.middle} C{x + bend} {start.middle} {end.x - bend} {end.middle} {end.x} {end.middle}"
    return f'<path d="{curve}" marker-end="url(#tip)"/>'
