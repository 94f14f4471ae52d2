"""The commands around a command: what has to be in place before it begins, as arguments and shell text."""

from collections.abc import Iterable, Sequence

__all__ = ["in_namespace", "join_line", "joining"]

_INIT = """\
exec 5<&0 4>&2 2>/dev/null </dev/null
(trap '' HUP INT QUIT TERM; read -r end <&5 >&- 3<&- 4>&-) &
echo $! >&5
(exec "$@" 2>&4 3<&- 4>&- 5>&-)
echo $? >&5
exec >/dev/null 3<&- 4>&-
wait $!
"""
"""The first process of a PID namespace. All others end with it, so it stays after the command until it is killed, or
until nobody holds the other end of its standard input. By that it tells two numbers: of the child that waits for this,
and the status of the command. While it waits for either, it reaps whoever has lost his parents."""

_SCRIPT = "/proc/1/fd/3"


def join_line(files: Iterable[str]) -> str:
    """Return what a shell does first to be in control groups; no line of its own, so that line numbers stay."""
    return "".join(f"echo $$ >'{file}' || exit; " for file in files)


def joining(argv: Sequence[str], files: Iterable[str]) -> tuple[str, ...]:
    """Return a command that joins control groups and then becomes another one."""
    return ("/bin/sh", "-c", f'{join_line(files)}exec "$@"', "sh", *argv)


def in_namespace(unshare: str, argv: Sequence[str], script: str | None) -> tuple[str, ...]:
    """Return a command that, as the first process of a new PID namespace, shows it in /proc and runs another one.

    Args:
        unshare: path of the program.
        argv: the command; its program is a path, lest the shell take it for one of its own commands.
        script: a file in the old /proc that the command reads; its name, which is another one then, is added to `argv`.
    """
    inner = (unshare, "--mount-proc", "--propagation", "slave", "--", "/bin/sh", "-c", _INIT, "sh", *argv)
    if script is None:
        return inner
    return ("/bin/sh", "-c", 'exec 3<"$0" && exec "$@"', script, *inner, _SCRIPT)
