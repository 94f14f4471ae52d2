"""Make `.venv` if there is none, and install the project into it if that has to be done. Standard library only."""

import argparse
import contextlib
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / ".prunner-trio-installed.json"
PROJECT = ROOT / "pyproject.toml"


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Let two scripts that were started at the same time install one after the other."""
    with PROJECT.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up in this directory to end")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def run(what: str, *command: str | Path) -> None:
    """Run a step quietly; if it fails, show everything it had to say, and end."""
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        sys.exit(f"setup: could not {what} (see above); the command was: {' '.join(map(str, command))}")


def fingerprint() -> str:
    return hashlib.sha256(PROJECT.read_bytes()).hexdigest()


def read_stamp() -> dict[str, object]:
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def environment_works() -> bool:
    """Tell whether `.venv` can be used: it was made at this place, and its Python still runs and is one we support."""
    if read_stamp().get("root", str(ROOT)) != str(ROOT):
        return False
    ask = "import sys; print(sys.version_info[:2])"
    try:
        done = subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True)
    except OSError:
        return False
    if done.returncode == 0 and done.stdout.strip() not in {"(3, 11)", "(3, 12)", "(3, 13)"}:
        sys.exit("setup: .venv has a Python that is not 3.11, 3.12 or 3.13; remove .venv and start again")
    return done.returncode == 0


def make_environment() -> None:
    """Make `.venv`; one that does not work any more is made again."""
    say(f"making .venv with Python {sys.version.split()[0]}")
    maker = Path(sys.executable)
    if ENVIRONMENT in maker.parents:  # a moved environment cannot rebuild itself: go back to the Python it came from
        maker = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    if ENVIRONMENT.exists():
        shutil.rmtree(ENVIRONMENT)
    run("make a virtual environment", maker, "-m", "venv", ENVIRONMENT)


def ensure_pip() -> None:
    """Give pip to an environment that somebody made without it."""
    if subprocess.run([PYTHON, "-c", "import pip"], capture_output=True).returncode != 0:
        run("install pip into .venv", PYTHON, "-m", "ensurepip")


def install(extras: list[str]) -> None:
    """Install the project, editable, with these extras and those of earlier times."""
    stamp, project = read_stamp(), fingerprint()
    earlier = stamp.get("extras")
    wanted = sorted({*extras, *(earlier if isinstance(earlier, list) else ())})
    if stamp.get("pyproject") == project and wanted == earlier and (PYTHON.parent / "prunner-trio").exists():
        return
    what = f"prunner-trio with {', '.join(wanted)}" if wanted else "prunner-trio"
    say(f"installing {what} (the first time takes a minute)")
    began = time.monotonic()
    ensure_pip()
    target = f".[{','.join(wanted)}]" if wanted else "."
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input")
    run("install the project", *pip, "install", "--quiet", "--editable", target)
    STAMP.write_text(json.dumps({"root": str(ROOT), "pyproject": project, "extras": wanted}) + "\n")
    say(f"installed in {time.monotonic() - began:.0f} s")


def compile_sources() -> None:
    """Keep the compiled modules up to date, as an installed wheel has them: some environments forbid Python to."""
    run("compile the sources", PYTHON, "-m", "compileall", "-q", ROOT / "src")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extra", action="append", default=[], help="an extra of pyproject.toml; may be repeated")
    arguments = parser.parse_args()
    with only_one():
        if not environment_works():
            make_environment()
        install(arguments.extra)
        compile_sources()


if __name__ == "__main__":
    main()
