"""The commands around a command: what has to be in place before it begins, as arguments and shell text."""

from collections.abc import Iterable, Sequence

__all__ = ["in_namespace", "join_line", "joining", "keeper"]

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

_KEEPER = """\
exec 3>&2 2>/dev/null
echo $$ >>"$1"
[ -z "$2" ] || ulimit -S -n "$2"
trap : INT TERM HUP QUIT
(shift 2; exec "$@" 2>&3 3>&-)
set -- "$1" $?
echo "$2" >>"$1"
exit "$2"
"""
# No variables: one that comes from the environment would be changed for the command too. A subshell has the usual
# actions for signals that are trapped here; without the traps, a signal to the group would end the keeper before it
# could tell how the command ended. Its own stderr is no place for `Killed` and the like, the log is the task's.


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


def keeper(record: str, argv: Sequence[str], descriptors: int | None) -> tuple[str, ...]:
    """Return the words of a shell that runs a command as its child and keeps how that ends, whoever else dies.

    It writes its own pid as the first line of a file, and as the second the command's exit status, 128 + n for signal
    n, with which it then ends itself.

    Args:
        record: the path of that file, which is there and empty.
        descriptors: how many the command may have open; None: as many as this process.
    """
    return ("/bin/sh", "-c", _KEEPER, "keeper", record, "" if descriptors is None else str(descriptors), *argv)
