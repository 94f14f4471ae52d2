"""From the words of a command line to an exit status: 0 fine, 1 not."""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from prunner_trio.cli.flags import Parsed, UsageError, command_help, parse, program_help
from prunner_trio.cli.table import PROGRAM

__all__ = ["main"]

INTERRUPTED = 130
"""What shells report of a program that Ctrl-C ended."""


def main(argv: Sequence[str]) -> int:
    """Run the program as it was called and return its exit status."""
    name = _called_as(argv[0])
    if argv[1:2] == ["__complete"]:
        from prunner_trio.cli.completion import answer

        return answer(PROGRAM, argv[2:])
    try:
        parsed = parse(PROGRAM, argv[1:], os.environ)
    except UsageError as exc:
        print(f"{name}: {exc.message}{f' ({exc.hint})' if exc.hint else ''}", file=sys.stderr)
        shows = f"{exc.command} --help shows its flags" if exc.command else "--help shows all flags and commands"
        print(f"{name} {shows}", file=sys.stderr)
        return 1
    try:
        status = _run(parsed, name)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as exc:  # what a command reads or writes besides its output, it has dealt with itself
        if not isinstance(exc, BrokenPipeError):
            print(f"{name}: the output cannot be written: {exc.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # spare the interpreter's last flush
        return 1
    return status


def _run(parsed: Parsed, name: str) -> int:
    if not parsed.help:
        return _command(parsed)(parsed)
    command = parsed.command
    sys.stdout.write(program_help(PROGRAM, name) if command is None else command_help(PROGRAM, command, name))
    return 0


def _called_as(program: str) -> str:
    name = os.path.basename(program)
    return "python -m prunner_trio" if name == "__main__.py" else name or "prunner-trio"


_WHERE = {
    "debug": "tokens.debug",
    "token": "tokens.token",
    "validate": "definitions.validate",
    "graph": "definitions.graph",
    "schema": "definitions.schema",
    "run": "run.run",
    "trigger": "trigger.trigger",
    "retry": "retry.retry",
    "jobs": "jobs.jobs",
    "show": "jobs.show",
    "logs": "logs.logs",
    "wait": "waiting.wait",
    "watch": "watch.watch",
    "cancel": "cancel.cancel",
    "queue": "queue.queue",
    "move": "queue.move",
    "pause": "queue.pause",
    "resume": "queue.resume",
    "pipelines": "pipelines.pipelines",
    "events": "events.events",
    "open": "opening.open_page",
    "completion": "completion.completion",
    "systemd-unit": "systemd.systemd_unit",
    "store export": "export.export",
    "store check": "store.check",
    "store backup": "store.backup",
}
"""Module and function of each command; `version` and the daemon are here."""


def _command(parsed: Parsed) -> Callable[[Parsed], int]:
    if parsed.command is None:
        return _version if parsed.values.switch("version") else _daemon
    if parsed.command.name == "version":
        return _version
    module, _, function = _WHERE[parsed.command.name].partition(".")
    found: Callable[[Parsed], int] = getattr(import_module(f"prunner_trio.cli.{module}"), function)
    return found


def _version(parsed: Parsed) -> int:
    from prunner_trio._version import __version__

    print(__version__)
    return 0


def _daemon(parsed: Parsed) -> int:
    from prunner_trio.daemon.early import remember_signals

    early = remember_signals()  # before the imports, which take a while
    gc.disable()  # looking for garbage takes a tenth of that while; on again when the daemon is ready

    from prunner_trio.daemon.config import Settings
    from prunner_trio.daemon.main import run_daemon
    from prunner_trio.definition.duration import parse_duration
    from prunner_trio.definition.size import parse_log_limit

    values = parsed.values
    settings = Settings(
        verbose=values.switch("verbose"),
        enable_profiling=values.switch("enable-profiling"),
        disable_ansi=values.switch("disable-ansi"),
        config=values.text("config"),
        jwt_secret=values.text("jwt-secret"),
        data=values.text("data"),
        pattern=values.text("pattern"),
        path=values.text("path"),
        address=values.text("address"),
        env_files=values.list("env-files"),
        watch=values.switch("watch"),
        containment=values.text("containment"),
        log_limit=parse_log_limit(values.text("log-limit")) or None,
        log_format=values.text("log-format"),
        max_connections=int(values.text("max-connections")),
        max_connections_per_address=int(values.text("max-connections-per-address")),
        rate_limit=int(values.text("rate-limit")),
        handover=values.switch("handover"),
        poll_interval=parse_duration(values.text("poll-interval")),
    )
    return run_daemon(settings, early)
