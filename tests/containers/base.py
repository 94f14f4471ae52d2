"""A base for images, made of the Debian packages that this machine has: no registry of images is asked."""

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["NEEDED", "missing_packages", "write_base"]

NEEDED = (
    "bash",
    "coreutils",
    "dash",
    "findutils",
    "libc-bin",
    "login",
    "passwd",
    "python3",
    "python3-venv",
    "util-linux",
)
_ROOM = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/")
_LINKS = ("bin", "lib", "lib64", "sbin")
_FOLDERS = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700, "run": 0o755, "var/lib": 0o755, "srv": 0o755}
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/shadow": "root:*:20000:0:99999:7:::\n",
    "etc/gshadow": "root:*::\n",
}


def missing_packages() -> list[str]:
    """Return which of the packages that are needed this machine does not have."""
    return [name for name in NEEDED if name not in _installed()]


def write_base(file: Path) -> None:
    """Write a root file system, a tar archive."""
    with tarfile.open(file, "w") as archive:
        names = set(_files(_with_dependencies(NEEDED))) | {*_LINKS, "usr/bin/sh", "etc/ld.so.cache"}
        names = {name for name in names if not name.startswith(_ROOM)} - _FOLDERS.keys() - _ACCOUNTS.keys()
        for name in sorted(names):
            archive.add(f"/{name}", name, recursive=False)
        for folder, mode in _FOLDERS.items():
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, mode
            archive.addfile(member)
        for name, text in _ACCOUNTS.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o600 if "shadow" in name else 0o644
            archive.addfile(member, io.BytesIO(text.encode()))


def _installed() -> dict[str, list[str]]:
    """Return the packages of this machine, each with what it needs: lists of alternatives."""
    form = "${db:Status-Status}\t${Package}\t${Pre-Depends}, ${Depends}\n"
    lines = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in lines.splitlines():
        status, name, needs = line.split("\t")
        if status == "installed":
            found[name] = [need.strip() for need in needs.split(",") if need.strip()]
    return found


def _with_dependencies(names: Iterable[str]) -> set[str]:
    installed, found, todo = _installed(), set[str](), list(names)
    while todo:
        name = todo.pop()
        if name not in found and name in installed:
            found.add(name)
            todo += [re.split(r"[ :(]", word.strip())[0] for need in installed[name] for word in need.split("|")]
    return found


def _files(packages: Iterable[str]) -> Iterator[str]:
    listed = subprocess.run(["dpkg", "-L", *packages], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        path = Path(line)
        if line.startswith("/") and path.name and (path.is_symlink() or path.exists()):
            yield os.path.join(path.parent.resolve(), path.name).lstrip("/")
