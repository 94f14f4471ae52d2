"""Imports point one way, and the pure rooms stay pure: read off the syntax trees, nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "prunner_trio"
SOURCE = Path(__file__).parents[2] / "src" / PACKAGE

# From left to right; a room may import from layers to the right of its own. Rooms of one layer do not know one another.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"cli"}),
    frozenset({"daemon", "client"}),
    frozenset({"http", "embedding", "testing", "metrics", "tracing", "hooks"}),
    frozenset({"storage", "launch", "output"}),
    frozenset({"execution"}),
    frozenset({"policy"}),
    frozenset({"definition"}),
    frozenset({"model"}),
    frozenset({"errors"}),
)
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}

# Modules that are files right below the package. Those of the façade stand outside of the order: `__init__` passes
# names on, `__main__` starts the command line, `pytest_plugin` offers what `testing` has.
FACADE = frozenset({"__init__", "__main__", "pytest_plugin"})
ROOMS_AS_FILES = frozenset({"errors", "embedding"})
FREE_FOR_ALL = frozenset({"_version"})

PURE = frozenset({"policy", "definition", "model", "errors"})
IMPURE_MODULES = frozenset({"definition/load.py"})
CLOCK_AND_CHANCE = frozenset({"random", "secrets", "time"})
OPERATING_SYSTEM = frozenset({"io", "os", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "tempfile"})
CONCURRENCY = frozenset({"asyncio", "subprocess", "threading", "trio"})
NOT_PURE = CLOCK_AND_CHANCE | OPERATING_SYSTEM | CONCURRENCY
CLOCK_READERS = frozenset({"now", "utcnow", "today"})

# Seconds matter at the command line and at the start of the daemon, so these may put imports into functions. So may the
# façade: pytest loads the plugin wherever the package is installed, whether its fixture is used or not.
LAZY = frozenset({"cli", "daemon", *FACADE})
# Elsewhere only these: each is the one door to something big of its own room that a start does not need.
LAZY_MODULES = frozenset({"definition/template/_template.py"})

# Libraries with one home, so that replacing one touches one room.
HOMES = {
    "ahocorasick_rs": frozenset({"policy"}),
    "cattrs": frozenset({"storage", "http"}),
    "dotenv": frozenset({"daemon"}),
    "h11": frozenset({"http", "client"}),
    "httpcore": frozenset({"hooks"}),
    "hypercorn": frozenset({"http"}),
    "jinja2": frozenset({"http"}),
    "markupsafe": frozenset({"http"}),
    "opentelemetry": frozenset({"tracing"}),
    "prometheus_client": frozenset({"metrics"}),
    "jwt": frozenset({"http", "daemon"}),
    "quart": frozenset({"http"}),
    "quart_trio": frozenset({"http"}),
    "sqlite3": frozenset({"storage"}),
    "wcmatch": frozenset({"definition"}),
    "yaml": frozenset({"definition", "daemon"}),
}


def room_of(module: str) -> str:
    """Return the room of a path relative to the package: `http/app.py` is in `http`, `errors.py` is `errors`."""
    first, _, rest = module.partition("/")
    return first if rest else first.removesuffix(".py")


def imported(node: ast.AST, module: str) -> Iterator[str]:
    """Yield the full dotted names that a node imports; relative ones are resolved against `module`."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            here = [PACKAGE, *module.split("/")[:-1]]
            base = ".".join([*here[: len(here) - node.level + 1], *([base] if base else [])])
        for alias in node.names:
            yield f"{base}.{alias.name}"


def own_room(name: str) -> str | None:
    """Return the room that a dotted name points into, `__init__` for the package itself, None for foreign names."""
    first, *rest = name.split(".")
    if first != PACKAGE:
        return None
    if rest and ((SOURCE / rest[0]).exists() or (SOURCE / f"{rest[0]}.py").exists() or rest[0] in RANK):
        return rest[0]
    return "__init__"


def functions_imports(tree: ast.AST) -> set[ast.AST]:
    """Return the import statements that run only when a function is called."""
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return {
        node
        for function in ast.walk(tree)
        if isinstance(function, inner)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }


def problems(module: str, source: str) -> Iterator[str]:
    """Yield what is wrong with one module, each with file and line. `module` is relative to the package."""
    room = room_of(module)
    if "/" not in module and room not in FACADE | ROOMS_AS_FILES | FREE_FOR_ALL:
        yield f"{module}:1: no module is expected here; put it into a room"
        return
    if room not in RANK and room not in FACADE | FREE_FOR_ALL:
        yield f"{module}:1: unknown room {room!r}; give it a place in LAYERS"
        return
    tree = ast.parse(source)
    lazy = functions_imports(tree)
    pure = room in PURE and module not in IMPURE_MODULES
    for node in ast.walk(tree):
        where = f"{module}:{getattr(node, 'lineno', 1)}"
        for name in imported(node, module):
            target = own_room(name)
            top = name.partition(".")[0]
            if target is None:
                if pure and top in NOT_PURE:
                    yield f"{where}: {room} is pure and must not import {top}"
                if room not in HOMES.get(top, {room}):
                    yield f"{where}: {top} is for {', '.join(sorted(HOMES[top]))} alone"
                continue
            if node in lazy and room not in LAZY and module not in LAZY_MODULES:
                yield f"{where}: an import of {name} inside a function hides a dependency"
            if target in FREE_FOR_ALL or target == room or room in FACADE:
                continue
            if room in FREE_FOR_ALL or target in FACADE:
                yield f"{where}: {room} must not import {name}"
            elif target not in RANK:
                yield f"{where}: {name} is in an unknown room"
            elif RANK[target] <= RANK[room]:
                yield f"{where}: {room} must not import {name}: imports point to the right only"
        if pure and isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute) and function.attr in CLOCK_READERS:
                yield f"{where}: {room} is pure and must not read a clock: {ast.unparse(function)}"
            if isinstance(function, ast.Name) and function.id == "open":
                yield f"{where}: {room} is pure and must not open files"


MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


def test_there_is_something_to_check() -> None:
    assert {"errors.py", "model/states.py", "execution/seams.py"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    found = list(problems(module, (SOURCE / module).read_text(encoding="utf-8")))
    assert not found, "\n" + "\n".join(found)


WRONG = {
    "to the left": ("model/values.py", "import prunner_trio.execution.runner"),
    "a neighbor": ("storage/journal.py", "from prunner_trio.launch import PosixLauncher"),
    "a neighbor of the daemon's own": ("http/app.py", "from prunner_trio.testing import rig"),
    "relative": ("policy/retention.py", "from ..execution import seams"),
    "relative, from the package": ("policy/retention.py", "from .. import execution"),
    "only for type checking": ("model/a.py", "if TYPE_CHECKING:\n    from prunner_trio.policy import admit"),
    "to the left inside a function": ("daemon/main.py", "def f():\n    from prunner_trio.cli import entry"),
    "hidden in a function": ("execution/runner.py", "def f():\n    from prunner_trio.policy import admit"),
    "the façade": ("execution/runner.py", "from prunner_trio import open_runner"),
    "an unknown room": ("gossip/talk.py", ""),
    "from an unknown room": ("cli/main.py", "import prunner_trio.gossip"),
    "a module beside the rooms": ("helpers.py", ""),
    "trio in a pure room": ("policy/wait_list.py", "import trio"),
    "trio in a function of a pure room": ("policy/wait_list.py", "async def f():\n    import trio.lowlevel"),
    "the file system in a pure room": ("definition/check.py", "from os import path"),
    "a clock in a pure room": ("model/values.py", "stamp = datetime.datetime.now()"),
    "open in a pure room": ("definition/check.py", "text = open('x').read()"),
    "SQLite outside of the store": ("execution/runner.py", "import sqlite3"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_import_is_found_with_file_and_line(name: str) -> None:
    module, source = WRONG[name]
    found = list(problems(module, source))
    assert len(found) == 1, found
    assert found[0].startswith(f"{module}:{max(1, len(source.splitlines()))}: ")


RIGHT = {
    "to the right": ("http/app.py", "from prunner_trio.execution.seams import OutputStore"),
    "the own room": (
        "http/app.py",
        "from . import auth\nfrom .wire import job\nimport prunner_trio.http",
    ),
    "lazily at the command line": ("cli/__init__.py", "def entry():\n    from prunner_trio.daemon import main"),
    "lazily in the door to the templates": (
        "definition/template/_template.py",
        "def f():\n    from prunner_trio.definition.template._parser import parse_trees",
    ),
    "the loader may read": ("definition/load.py", "import os\ntext = open('x').read()"),
    "the version": ("model/values.py", "from prunner_trio._version import __version__"),
    "passing names on": ("__init__.py", "def __getattr__(name):\n    from prunner_trio.embedding import open_runner"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_import_is_let_through(name: str) -> None:
    assert list(problems(*RIGHT[name])) == []
