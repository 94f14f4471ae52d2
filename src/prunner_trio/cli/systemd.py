"""The command that shows unit files: systemd-unit."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from prunner_trio.cli.flags import Parsed, Values
from prunner_trio.cli.table import PROGRAM
from prunner_trio.daemon.unit import KILL_TIMEOUT, Installation, longest_kill_timeout, service_unit, socket_unit
from prunner_trio.definition import load_definitions
from prunner_trio.errors import InvalidDefinition

__all__ = ["systemd_unit"]

_DEFAULTS = {flag.name: flag.default for flag in PROGRAM.flags}


def systemd_unit(parsed: Parsed) -> int:
    """Show the unit of the service, or that of its socket; 1 if something in it cannot be said to systemd."""
    values = parsed.values
    try:
        installation = Installation(
            program=_program(),
            path=os.path.abspath(values.text("path")),
            data=_given_path(values, "data"),
            config=_given_path(values, "config"),
            address=values.text("address"),
            flags=dict(_more_flags(values)),
            pattern=_given(values, "pattern"),
            user=values.text("run-as"),
            per_user=values.switch("user"),
            strict=values.switch("strict"),
            kill_timeout=_kill_timeout(values),
        )
        text = socket_unit(installation) if values.switch("socket") else service_unit(installation)
    except ValueError as exc:
        print(f"making a unit file: {exc}", file=sys.stderr)
        return 1
    sys.stdout.write(text)
    return 0


def _program() -> str:
    installed = Path(sys.executable).with_name("prunner-trio")
    return str(installed) if installed.exists() else os.path.abspath(sys.argv[0])


def _given(values: Values, name: str) -> str:
    return "" if values.text(name) == _DEFAULTS[name] else values.text(name)


def _given_path(values: Values, name: str) -> str:
    given = _given(values, name)
    return os.path.abspath(given) if given else ""


def _more_flags(values: Values) -> Iterator[tuple[str, str | None]]:
    if (files := ",".join(values.list("env-files"))) != _DEFAULTS["env-files"]:
        yield "env-files", files
    for name in ("verbose", "enable-profiling", "watch", "handover"):
        if values.switch(name):
            yield name, None
    if interval := _given(values, "poll-interval"):
        yield "poll-interval", interval
    if log_format := _given(values, "log-format"):
        yield "log-format", log_format
    containment = _given(values, "containment") or ("cgroup" if _has_cgroups() else "")
    if containment:
        yield "containment", containment
    if limit := _given(values, "log-limit"):
        yield "log-limit", limit


def _has_cgroups() -> bool:
    """Whether there is a cgroup v2 for systemd to delegate; then the unit has `Delegate=yes` do its work."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.split(" ")[2] == "cgroup2" for line in mounts)


def _kill_timeout(values: Values) -> float:
    try:
        definitions = load_definitions(values.text("pattern"), Path(values.text("path")))
    except InvalidDefinition as exc:
        print(f"TimeoutStopSec covers no kill_timeout beyond {KILL_TIMEOUT:g} s: {exc.problems[0]}", file=sys.stderr)
        return KILL_TIMEOUT
    return longest_kill_timeout(definitions)
