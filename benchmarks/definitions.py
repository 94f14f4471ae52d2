"""What the daemon under test is given to do, and the same for make. Pure."""

__all__ = ["NAME", "jobs", "lanes", "makefile", "one_task", "waiting"]

NAME = "c"
"""Of the pipeline, where there is only one."""


def lanes(tasks: int, width: int) -> list[tuple[str, str | None]]:
    """Return tasks and whom each waits for: `width` chains side by side. As wide as there are tasks: none waits."""
    names = [f"t{number:05}" for number in range(tasks)]
    return [(name, names[number - width] if number >= width else None) for number, name in enumerate(names)]


def jobs(graph: list[tuple[str, str | None]], *settings: str, script: str = "/bin/true") -> str:
    """Return definitions with one pipeline of these tasks, each a single command."""
    lines = ["pipelines:", f"  {NAME}:", *(f"    {setting}" for setting in settings), "    tasks:"]
    for name, needs in graph:
        needed = f", depends_on: [{needs}]" if needs else ""
        lines.append(f'      {name}: {{script: ["{script}"]{needed}}}')
    return "\n".join([*lines, ""])


def one_task(*settings: str, script: str = "/bin/true") -> str:
    """Return definitions with one pipeline of one task."""
    return jobs(lanes(1, 1), *settings, script=script)


def waiting() -> str:
    """Return definitions of which the first job runs on and on, and all others wait for it."""
    return one_task("concurrency: 1", script="/bin/sleep 36000")


def makefile(graph: list[tuple[str, str | None]]) -> str:
    """Return the same graph for make."""
    rules = ["all: " + " ".join(name for name, _ in graph)]
    for name, needs in graph:
        rules += [f"{name}:" + (f" {needs}" if needs else ""), "\t@/bin/true"]
    return "\n".join([*rules, ""])
