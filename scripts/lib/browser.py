"""The stage of scripts/test that drives a browser: sees to it that there is one, then runs the tests.

Debian's chromium is taken, which is installed if it is missing and that is possible. The last line says why else the
stage cannot run, which is no failure. Standard library only.
"""

import importlib.util
import os
import shutil
import subprocess
import sys

from stages import CANNOT_RUN, ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find() -> str | None:
    """Return the path of the browser; `CHROMIUM` may name it."""
    return shutil.which(os.environ.get("CHROMIUM", "")) or next(filter(None, map(shutil.which, NAMES)), None)


def install() -> None:
    """Install Debian's chromium, if we may."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
            print("$ apt-get " + " ".join(words), flush=True)
            subprocess.run(["apt-get", "-qq", *words], env=env, check=False, stdout=subprocess.DEVNULL)


def main() -> int:
    if importlib.util.find_spec("playwright") is None:
        print("playwright is missing: pip install '.[browser]'")
        return CANNOT_RUN
    if find() is None:
        install()
    browser = find()
    if browser is None:
        print("there is no chromium: apt-get install chromium, or name one in CHROMIUM")
        return CANNOT_RUN
    words = [sys.executable, "-m", "pytest", "tests/browser", *sys.argv[1:]]
    return subprocess.run(words, cwd=ROOT, env={**os.environ, "CHROMIUM": browser}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
