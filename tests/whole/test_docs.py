"""README.md and docs/ are true: commands and programs run as they are written there, links lead somewhere.

What is run, by the language of its fenced block:

* ``sh``: the lines, all blocks of a document in one shell, in a directory of its own, empty unless
  the lines mention ``examples/``: then a copy of that is there.
* ``console``: the same for what stands behind ``$ `` (and, on further lines, behind ``> ``), and what it prints is
  compared with the lines below it. ``…`` stands for anything within a line, alone on a line for any number of lines.
* ``python``: a program, or, if it has functions named ``test_…``, a test for pytest, each block on its own. The
  definitions that the document shows above it are beside it as ``pipelines.yml``. A block ``output`` right below is
  what a program prints.
* ``yaml`` with ``pipelines:`` in it: definitions without problems.

A comment ``<!-- not run: why -->`` right above a block takes it out. Daemons listen on another port than the one that
is written, and the shell waits until one that it has started answers.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import copytree

import attrs
import pytest

from prunner_trio import load_definitions
from prunner_trio.model import JOB_MOVES, TASK_MOVES

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
BIN = Path(sys.executable).parent
SECONDS = 50
NO_SESSION = {
    "docs/cli.md": "shows forms of commands; test_cli_* and remote/ try each of them",
    "docs/http-server.md": "runs tests of the project, from a clone",
}
ADDRESS_IN_TEXTS = "localhost:9009"
NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
HERE_DOCUMENT = re.compile(r"^cat > pipelines\.yml <<'(\w+)'\n(.*?)^\1$", re.MULTILINE | re.DOTALL)

PRELUDE = r"""
set -eE
exec 9>&1
said=/dev/null
trap '{ echo "the status of this is $?: $BASH_COMMAND"; cat "$said"; } >&9' ERR
trap 'kill $(jobs -p) 2>/dev/null && wait' EXIT
answers() {
    for _ in $(seq 200); do
        if curl -s -o /dev/null "http://$PRUNNER_ADDRESS/"; then return; fi
        sleep 0.1
    done
    echo "the daemon does not answer" >&2
    exit 1
}
"""


@attrs.frozen
class Block:
    """One fenced block.

    Attributes:
        line: that of its first fence.
        run: no comment takes it out.
    """

    document: Path
    line: int
    language: str
    text: str
    run: bool

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path) -> Iterator[Block]:
    above, inside = "", None
    content: list[str] = []
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("```"):
            if inside is not None:
                content.append(line)
            elif line.strip():
                above = line
        elif inside is None:
            inside, content = (number, line.removeprefix("```").strip()), []
        else:
            yield Block(document, *inside, "".join(f"{each}\n" for each in content), not NOT_RUN.fullmatch(above))
            above, inside = "", None
    assert inside is None, f"{document}:{inside}: the block has no end"


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language and block.run]


def place(value: object) -> str:
    return value.place if isinstance(value, Block) else str(value)


def run(words: Sequence[str], cwd: Path, **variables: str) -> str:
    """Run a program to its end and return what it has printed; if that takes too long, all it has started ends."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PRUNNER_")}
    env |= {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "HOME": str(cwd)}
    env |= {"PYTEST_ADDOPTS": "-p no:schemathesis", **variables}
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    late = False
    try:
        said = process.communicate(timeout=SECONDS)[0]
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(process.pid, signal.SIGTERM)
        said = process.communicate(timeout=SECONDS)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert not late, f"took longer than {SECONDS} s:\n{said}"
    assert process.returncode == 0, said
    return said


# ------------------------------------------------------------------------------------------------------- the shell


@attrs.frozen
class Line:
    """A command, and what it must print; None: anything."""

    command: str
    prints: str | None = None


def commands(block: Block) -> Iterator[Line]:
    if block.language == "sh":
        yield Line(block.text)
        return
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        further = next((index for index, line in enumerate(lines[1:], 1) if not line.startswith("> ")), len(lines))
        command = "".join([lines[0], *(line.removeprefix("> ") for line in lines[1:further])])
        yield Line(command, "".join(lines[further:]))


def script(lines: Sequence[Line], folder: Path) -> str:
    parts = [PRELUDE]
    for number, line in enumerate(lines):
        if line.prints is None:
            parts.append(re.sub(r"^prunner-trio.*&$", r"\g<0>\nanswers", line.command, flags=re.MULTILINE))
        else:
            parts.append(f"said='{folder}/{number}'\n{{\n{line.command}}} >\"$said\" 2>&1\nsaid=/dev/null\n")
    return "".join(parts)


def pattern(expected: str) -> str:
    parts = []
    for line in expected.splitlines():
        any_text = "[^\n]*".join(re.escape(text) for text in line.split("…"))
        parts.append("(?:[^\n]*\n)*" if line == "…" else f"{any_text}\n")
    return "".join(parts)


def free_address() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return "127.0.0.1:{1}".format(*sock.getsockname())


def session(document: Path) -> list[Block]:
    return [b for b in BLOCKS if b.document == document and b.language in ("sh", "console") and b.run]


SESSIONS = [
    document for document in DOCUMENTS if session(document) and document.relative_to(ROOT).as_posix() not in NO_SESSION
]


@pytest.mark.parametrize("document", SESSIONS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_run_as_they_are_written(document: Path, tmp_path: Path) -> None:
    work, said, address = tmp_path / "work", tmp_path / "said", free_address()
    work.mkdir()
    said.mkdir()
    lines = [
        attrs.evolve(line, command=line.command.replace(ADDRESS_IN_TEXTS, address))
        for block in session(document)
        for line in commands(block)
    ]
    if any("examples/" in line.command for line in lines):
        copytree(ROOT / "examples", work / "examples", ignore=lambda *_: ["__pycache__"])
    run(["bash", "-c", script(lines, said)], work, PRUNNER_ADDRESS=address)
    for number, line in enumerate(lines):
        if line.prints is not None:
            printed = (said / str(number)).read_text(encoding="utf-8")
            assert re.fullmatch(pattern(line.prints), printed), f"$ {line.command}{printed}\nis not\n{line.prints}"


def test_the_tour_of_the_readme_is_among_them() -> None:
    assert SESSIONS[0].name == "README.md"
    tour = "".join(block.text for block in of("sh") + of("console") if block.document.name == "README.md")
    for step in ("validate", "graph", "run site", "trigger site", "jobs", "logs site", "cancel slow", "kill"):
        assert step in tour


# --------------------------------------------------------------------------------------------------------- programs


def definitions_above(block: Block) -> str:
    """Return the last definitions that the document shows before a block; empty if there are none."""
    found = ""
    for other in (other for other in BLOCKS if other.document == block.document and other.line < block.line):
        if other.language == "yaml" and "pipelines:" in other.text:
            found = other.text
        elif other.language == "sh" and (written := HERE_DOCUMENT.search(other.text)):
            found = written[2]
    return found


@pytest.mark.parametrize("block", of("python"), ids=place)
def test_programs_and_tests_run_as_they_are_written(block: Block, tmp_path: Path) -> None:
    (tmp_path / "pipelines.yml").write_text(definitions_above(block) or "pipelines: {}\n", encoding="utf-8")
    is_test = re.search(r"^(async )?def test_", block.text, re.MULTILINE) is not None
    program = tmp_path / ("test_block.py" if is_test else "block.py")
    program.write_text(block.text, encoding="utf-8")
    if is_test:
        said = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", program.name], tmp_path)
        assert re.search(r"^\d+ passed in", said, re.MULTILINE), said
        return
    said = run([sys.executable, "-W", "error", program.name], tmp_path)
    following = next((b for b in BLOCKS if b.document == block.document and b.line > block.line), None)
    if following is not None and following.language == "output":
        assert said == following.text


@pytest.mark.parametrize("name", ["README.md", "docs/testing.md", "docs/embedding.md"])
def test_there_are_programs_to_run(name: str) -> None:
    assert any(block.document == ROOT / name for block in of("python"))


def test_the_tests_of_the_example_pass(tmp_path: Path) -> None:
    example = copytree(
        ROOT / "examples" / "testing-your-pipelines", tmp_path / "example", ignore=lambda *_: ["__pycache__"]
    )
    said = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"], example)
    assert re.search(r"^\d+ passed in", said, re.MULTILINE), said


# ------------------------------------------------------------------------------------------------------ definitions


@pytest.mark.parametrize(
    "block",
    [block for block in of("yaml") if re.search(r"^pipelines:", block.text, re.MULTILINE)],
    ids=place,
)
def test_definitions_have_no_problems(block: Block, tmp_path: Path) -> None:
    (tmp_path / "pipelines.yml").write_text(block.text, encoding="utf-8")
    assert len(load_definitions("pipelines.yml", tmp_path)) > 0


# ------------------------------------------------------------------------------------------------------------ links


def prose(document: Path) -> str:
    return re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    heads = re.findall(r"^#+ +(.*)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^()\s]+)\)", prose(document)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), f"{document.name}: nothing is at {target}"
        assert not anchor or anchor in anchors(there), f"{document.name}: no head for {target}"


def test_every_document_can_be_found_from_the_readme() -> None:
    readme = prose(ROOT / "README.md")
    for document in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{document.name})" in readme


# ----------------------------------------------------------------------------------------------------- architecture


def test_the_table_of_moves_in_the_architecture_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \| (✓|–) \| (✓|–) \|", text, re.MULTILINE)
    jobs = {(now, move): then for now, move, then, job, _ in rows if job == "✓"}
    tasks = {(now, move): then for now, move, then, _, task in rows if task == "✓"}
    assert jobs == {(now.value, move.value): then.value for (now, move), then in JOB_MOVES.items()}
    assert tasks == {(now.value, move.value): then.value for (now, move), then in TASK_MOVES.items()}
