"""The texts of unit files for systemd: what they must say for this daemon, with the reason beside each line. Pure."""

import math
import re
from collections.abc import Iterator, Mapping

import attrs

from prunner_trio.daemon.ending import SAVE_TIMEOUT
from prunner_trio.definition import Definitions
from prunner_trio.execution.stop import REAP_TIMEOUT
from prunner_trio.hooks import FAREWELL_SECONDS
from prunner_trio.http.server import HttpLimits
from prunner_trio.launch import MAIN
from prunner_trio.storage.journal import CLOSE_TIMEOUT, FLUSH_TIMEOUT

__all__ = ["KILL_TIMEOUT", "Installation", "longest_kill_timeout", "service_unit", "socket_unit", "stop_seconds"]

KILL_TIMEOUT = 2.0
"""Seconds from the first signal to SIGKILL, where definitions say nothing."""

WATCHDOG_SECONDS = 30
START_SECONDS = 300
STRAYS_SECONDS = 2.0

DYNAMIC = "dynamic"
"""As a user: one that systemd makes up for the service."""

STATE = "prunner-trio"
"""The directory below systemd's place for state (``%S``) in which everything is kept unless it is told otherwise."""

_OUT_OF_REACH_WITH_PROTECT_HOME = ("/home", "/root", "/run/user")

_STRICTER: tuple[tuple[str, str], ...] = (
    ("NoNewPrivileges=yes", "no sudo, su or other setuid program"),
    ("CapabilityBoundingSet=", "no power of root, not even for a task that runs as root"),
    ("ProtectProc=invisible", "no look at the processes of other users, nor at their command lines"),
    ("RemoveIPC=yes", "no System V or POSIX IPC objects that outlive the service"),
    ("RestrictSUIDSGID=yes", "no setuid or setgid files, nor directories that pass on their group"),
    ("PrivateTmp=yes", "a /tmp that nobody else sees, emptied when the service stops"),
    ("PrivateDevices=yes", "no disks, GPUs, KVM or FUSE"),
    ("ProtectHostname=yes", "no change of the host's name"),
    ("ProtectClock=yes", "no change of the clock"),
    ("ProtectKernelTunables=yes", "no sysctl; the control groups of tasks stay writable"),
    ("ProtectKernelModules=yes", "no modprobe"),
    ("ProtectKernelLogs=yes", "no dmesg"),
    ("LockPersonality=yes", "no setarch; some debuggers want that"),
    ("RestrictRealtime=yes", "no real-time priorities"),
    ("RestrictNamespaces=yes", "no containers, unshare or browsers with a sandbox"),
    ("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK", "no raw packets, Bluetooth and the like"),
    ("SystemCallArchitectures=native", "no 32-bit programs"),
    ("SystemCallFilter=@system-service", "no mount, reboot, swapon, kexec, bpf"),
)


_USER = re.compile(r"[\w.][\w.-]*\$?")


@attrs.frozen
class Installation:
    """What the units are for.

    Attributes:
        program: the command, an absolute path.
        path: where the definitions are, and the working directory of tasks; an absolute path.
        data: the data directory, an absolute path; empty: systemd's place for state.
        config: the file with the secret; empty: in systemd's place for state.
        address: ``host:port``.
        flags: more flags for the daemon, name and value; None for switches.
        pattern: which files below `path` define pipelines.
        user: who runs the service; `DYNAMIC`: a user that exists only while it runs. Of no use with `per_user`.
        per_user: for the service manager of one user and not for that of the system.
        strict: with every option that hems in tasks.
        kill_timeout: seconds; the longest of all pipelines.
    """

    program: str
    path: str
    data: str = ""
    config: str = ""
    address: str = "127.0.0.1:9009"
    flags: Mapping[str, str | None] = attrs.field(factory=dict)
    pattern: str = ""
    user: str = STATE
    per_user: bool = False
    strict: bool = False
    kill_timeout: float = KILL_TIMEOUT

    def __attrs_post_init__(self) -> None:
        texts = (self.program, self.path, self.pattern, self.data, self.config, self.address, self.user)
        for text in (*texts, *self.flags.values()):
            if text is not None and not text.isprintable():
                raise ValueError(f"{text!r} has a character that no unit file can hold")
        if self.path.endswith(("\\", " ")):  # WorkingDirectory= knows no quotes
            raise ValueError(f"{self.path!r} has an end that no unit file can hold")
        if not _USER.fullmatch(self.user):  # systemd takes an empty one for root
            raise ValueError(f"{self.user!r} is not the name of a user (letters, digits, dots, _ and -)")


def longest_kill_timeout(definitions: Definitions) -> float:
    """Return the longest time that any task has from the first signal to SIGKILL, in seconds."""
    times = [KILL_TIMEOUT]
    for pipeline in definitions.pipelines.values():
        handler = (pipeline.on_error,) if pipeline.on_error is not None else ()
        times += [given for task in (*pipeline.tasks, *handler) if (given := task.kill_timeout) is not None]
        times += [pipeline.kill_timeout] if pipeline.kill_timeout is not None else []
    return max(times)


def stop_seconds(kill_timeout: float) -> int:
    """Return how long a stop may take at worst; a service manager must not lose its patience before.

    That is the time for the processes of tasks and for them to disappear, for the last changes on a slow disk, for
    notifications, for open requests, for the server's own end, for the store to be closed, and for processes that no
    task owns.
    """
    http = 2 * HttpLimits().drain
    hooks = FAREWELL_SECONDS
    store = SAVE_TIMEOUT + FLUSH_TIMEOUT + 2 * CLOSE_TIMEOUT
    return math.ceil(kill_timeout + REAP_TIMEOUT + hooks + http + store + STRAYS_SECONDS)


def service_unit(installation: Installation) -> str:
    """Return the text of the service's unit."""
    return "\n".join(_service(installation)) + "\n"


def socket_unit(installation: Installation) -> str:
    """Return the text of the unit of its socket.

    Raises:
        ValueError: the address has a name for which systemd would need an IP address.
    """
    where = "prunner-trio.socket"
    return "\n".join(
        (
            "# The port, held by systemd: nobody is refused while the daemon is down or starts anew, and whoever calls",
            "# waits for the answer. Belongs beside prunner-trio.service, whose --address counts for nothing then.",
            "#",
            f"#     {_manager(installation)} enable --now {where}",
            "",
            "[Unit]",
            "Description=Port of prunner-trio",
            "",
            "[Socket]",
            f"ListenStream={_listen_stream(installation.address)}",
            "",
            "[Install]",
            "WantedBy=sockets.target",
            "",
        )
    )


def _service(it: Installation) -> Iterator[str]:
    yield from _head(it)
    yield from ("", "[Unit]", "Description=prunner-trio, runs pipelines of shell tasks", "After=network.target", "")
    yield "[Service]"
    yield "# Ready means: the jobs of the last run are taken up, and the port answers."
    yield "Type=notify"
    yield f"TimeoutStartSec={START_SECONDS}"
    yield from _whose(it)
    yield f"WorkingDirectory={it.path.replace('%', '%%')}"
    yield f"ExecStart={_command(it)}"
    yield "# A reload with broken files fails, names the problems in the journal and changes nothing. With systemd 253"
    yield "# and newer, Type=notify-reload in the place of the second line waits for the end of the reload."
    yield f"ExecReload={_words(it.program, 'validate', '--path', it.path, *_pattern(it))}"
    yield "ExecReload=/bin/kill -HUP $MAINPID"
    yield ""
    yield "# The daemon gives signs of life from the loop that runs the jobs. If that is stuck, it is started anew."
    yield f"WatchdogSec={WATCHDOG_SECONDS}"
    yield "Restart=on-failure"
    yield "RestartSec=1"
    yield ""
    yield from _stop(it)
    yield f"# {it.kill_timeout:g} s is the longest kill_timeout now; the rest is for slow processes, requests, disks."
    yield f"TimeoutStopSec={stop_seconds(it.kill_timeout)}"
    yield ""
    yield "# A control group for each task, so that nothing can hide from a cancel. Never add ProtectControlGroups=."
    yield "Delegate=yes"
    if "handover" in it.flags:
        yield "# The daemon gets a group of its own: systemd can start the next one while tasks are in theirs. Before"
        yield "# systemd 254 there is no such option; then tasks with limits do not outlive a restart."
        yield f"DelegateSubgroup={MAIN}"
    yield "# A task that runs out of memory fails alone."
    yield "OOMPolicy=continue"
    if not it.per_user:
        yield ""
        yield from _hardening(it)
    yield from ("", "[Install]", f"WantedBy={'default' if it.per_user else 'multi-user'}.target")


def _stop(it: Installation) -> Iterator[str]:
    if "handover" in it.flags:
        yield "# A restart asks the daemon to leave its running jobs to the next one, and waits until it has."
        yield "RestartKillSignal=SIGUSR2"
        yield "# A stop is SIGTERM: the daemon stops the running jobs and keeps the waiting ones. To let running jobs"
        yield "# end in peace: KillSignal=SIGINT, and as much TimeoutStopSec as they need."
        yield "# Only the daemon gets signals. Tasks that are alive when it is gone are the next one's: it goes on with"
        yield "# them, or stops them if it had died. If there is to be no next one, look for them by hand."
        yield "KillMode=process"
        return
    yield "# SIGTERM goes to the daemon alone, which stops the running jobs and keeps the waiting ones. What is left"
    yield "# when it is gone, systemd kills. To let running jobs end in peace: KillSignal=SIGINT, and as much"
    yield "# TimeoutStopSec as they need."
    yield "KillMode=mixed"


def _head(it: Installation) -> Iterator[str]:
    if it.per_user:
        yield "# To ~/.config/systemd/user/prunner-trio.service, then"
    else:
        yield "# To /etc/systemd/system/prunner-trio.service, then"
    yield "#"
    if not it.per_user and it.user == STATE:
        yield f"#     useradd --system --home-dir /var/lib/{STATE} --shell /usr/sbin/nologin {STATE}"
    yield f"#     {_manager(it)} daemon-reload"
    yield f"#     {_manager(it)} enable --now prunner-trio"
    if it.per_user:
        yield "#     loginctl enable-linger      # so that it runs while you are logged out"
    yield f"#     journalctl {'--user ' if it.per_user else ''}-u prunner-trio -f"


def _manager(it: Installation) -> str:
    return "systemctl --user" if it.per_user else "systemctl"


def _whose(it: Installation) -> Iterator[str]:
    if not it.per_user:
        if it.user == DYNAMIC:
            yield "# A user that exists only while the service runs, and can write in the state directory alone."
            yield "DynamicUser=yes"
        else:
            yield "# Whoever may write the definitions can do as this user whatever it may do."
            yield f"User={it.user.replace('%', '%%')}"
    if not (it.data and it.config):
        yield f"StateDirectory={STATE}"
        yield "StateDirectoryMode=0700"


def _command(it: Installation) -> str:
    data = _word(it.data) if it.data else f"%S/{STATE}"
    config = _word(it.config) if it.config else f"%S/{STATE}/config.yml"
    lines = [
        _word(it.program),
        f"--path {_word(it.path)}",
        *([f"--pattern {_word(it.pattern)}"] if it.pattern else []),
        f"--data {data}",
        f"--config {config}",
        f"--address {_word(it.address)}",
        *(f"--{name}" if value is None else _word(f"--{name}={value}") for name, value in it.flags.items()),
    ]
    return " \\\n    ".join(lines)


def _pattern(it: Installation) -> tuple[str, ...]:
    return ("--pattern", it.pattern) if it.pattern else ()


def _hardening(it: Installation) -> Iterator[str]:
    mark = "" if it.strict else "#"
    if it.strict:
        yield "# All of these bind tasks too. What each takes from them stands above it; take out those that do."
    else:
        yield "# None of these is on, because all of them bind tasks too. What each takes from them stands above it."
    writable = " ".join(_quoted(place) for place in dict.fromkeys((it.path, it.data, _parent(it.config))) if place)
    yield "# no writing anywhere but in these places, the state directory, /tmp and /dev"
    yield f"{mark}ProtectSystem=strict"
    yield f"{mark}ReadWritePaths={writable}"
    if not any(_below(place, home) for place in (it.path, it.program) for home in _OUT_OF_REACH_WITH_PROTECT_HOME):
        yield "# no home directories: no ~/.ssh, no ~/.netrc, no caches below them"
        yield f"{mark}ProtectHome=yes"
    for option, taken in _STRICTER:
        yield f"# {taken}"
        yield f"{mark}{option}"


def _parent(file: str) -> str:
    return file.rpartition("/")[0]


def _below(place: str, directory: str) -> bool:
    return place == directory or place.startswith(f"{directory}/")


def _words(*words: str) -> str:
    return " ".join(_word(word) for word in words)


def _word(word: str) -> str:
    """Return a word of a command line as systemd reads it back."""
    return _quoted(word.replace("$", "$$"))


def _quoted(word: str) -> str:
    """Return one of several values in a line, without what systemd would put in for it."""
    plain = word.replace("%", "%%")
    if plain and not any(letter in " \t\"'\\;" for letter in plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _listen_stream(address: str) -> str:
    host, _, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not port.isdigit():
        raise ValueError(f"{address!r} has no port that a socket unit could listen on")
    if not host:
        return port
    if bare == "localhost":
        return f"127.0.0.1:{port}"
    if not set(bare) <= set("0123456789.:abcdefABCDEF") or ("." not in bare and ":" not in bare):
        raise ValueError(f"a socket unit needs an IP address and not the name {host!r}")
    return f"{host}:{port}"
