"""The composition root: the only place where a launcher, a store, a server and the engine meet.

Lifetimes, from the outside in: signals, sockets, store and its lock, launcher, engine, HTTP server. Each is closed only
after all that stand inside of it are; but the sockets as soon as nobody answers any more.
"""

import contextlib
import faulthandler
import gc
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from functools import partial
from pathlib import Path
from socket import socket

import attrs
import trio

from prunner_trio._version import __version__
from prunner_trio.daemon.config import Settings, find_secret
from prunner_trio.daemon.early import HEARD
from prunner_trio.daemon.ending import hand_over, jobs_end
from prunner_trio.daemon.first_checks import check_data
from prunner_trio.daemon.hook_secrets import HookSecrets
from prunner_trio.daemon.journald import journal_handler
from prunner_trio.daemon.logs import FATAL, set_up_logs
from prunner_trio.daemon.measuring import measured
from prunner_trio.daemon.metering import build_info, scraping
from prunner_trio.daemon.notify import Notifier, inherited_sockets, open_notifier
from prunner_trio.daemon.recovering import Recovering
from prunner_trio.daemon.reload import Reloader
from prunner_trio.daemon.signals import hear_signals
from prunner_trio.daemon.status import StatusLine, status_text
from prunner_trio.daemon.telling import open_notifications, warn_of_secrets
from prunner_trio.daemon.tracing import Tracing, open_tracing
from prunner_trio.daemon.verbose import App, LoggedRequests, log_event
from prunner_trio.daemon.watchdog import feed_watchdog, noticing_dead_threads, watchdog_interval
from prunner_trio.daemon.web import api_v1, web_behind
from prunner_trio.daemon.world import look_around
from prunner_trio.definition import Definitions, load_definitions, startup_text
from prunner_trio.errors import InvalidDefinition, PrunnerError
from prunner_trio.execution import Runner, StopLevel, run_engine
from prunner_trio.hooks import GRACE, Notifications
from prunner_trio.http import Service
from prunner_trio.http.about import About
from prunner_trio.http.server import HttpLimits, Visitors, bind, check_address, serve_http
from prunner_trio.launch import Containment, PosixLauncher, missing_limits, open_launcher, place_of
from prunner_trio.metrics import Metrics, TimedLauncher
from prunner_trio.output import FileOutputStore
from prunner_trio.storage import SqliteJournal, keep_last_good, open_journal, store_file

__all__ = ["CannotStart", "run_daemon"]

log = logging.getLogger(__name__)


class CannotStart(PrunnerError):
    """The daemon cannot start; the message says what has to change."""


def run_daemon(settings: Settings, early: Iterable[int] = ()) -> int:
    """Run the daemon until it is told to end, and return its exit status: 0 after a drain or a cancel, else 1.

    Args:
        early: signals that have come already; see `remember_signals`.
    """
    as_json = settings.log_format == "json"  # whoever asks for it has somebody who reads it: not the journal
    handler = None if as_json else journal_handler(os.environ)
    set_up_logs(verbose=settings.verbose, plain=settings.disable_ansi, as_json=as_json, handler=handler)
    faulthandler.enable()  # a watchdog's SIGABRT, or a crash, leaves in the log where every thread was
    try:
        return trio.run(_Daemon(settings, dict(os.environ)).run, early, strict_exception_groups=True)
    except Exception as exc:  # noqa: BLE001 - the outermost boundary: whatever it was, say so and end with an honest status
        _say(exc)
        return 1


def _say(exc: Exception) -> None:
    text = _explained(exc)
    if text is None:
        log.log(FATAL, "Error: the daemon failed; this is a defect of prunner-trio", exc_info=exc)
        return
    first, *more = text.split("\n")
    for line in more:
        log.error("%s", line)
    log.log(FATAL, "%s", first if first.startswith("Error ") else f"Error: {first}")


def _explained(exc: BaseException) -> str | None:
    """Return what to tell the user of an error, or of a group of them, that has a known cause; else None."""
    if isinstance(exc, BaseExceptionGroup):
        texts = [_explained(inner) for inner in exc.exceptions]
        known = [text for text in texts if text is not None]
        return "; ".join(known) if len(known) == len(texts) else None
    if isinstance(exc, InvalidDefinition):
        return startup_text(exc)
    return str(exc) if isinstance(exc, PrunnerError) else None


@contextlib.contextmanager
def _or_cannot_start(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        place = f" {exc.filename}" if exc.filename else ""
        raise CannotStart(f"{what}:{place} {exc.strerror or exc}") from exc


@attrs.define(eq=False)
class _Daemon:
    """One run of the daemon.

    Attributes:
        level: how urgently it ends; the runner's own level follows it.
        start: everything up to the moment when there is a runner to tell about signals; canceled by a signal to stop.
    """

    settings: Settings
    environ: MutableMapping[str, str] = attrs.field(repr=False)
    level: StopLevel = attrs.field(default=StopLevel.SERVE, init=False)
    _start: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _stopping: trio.Event = attrs.field(factory=trio.Event, init=False)
    _handing_over: trio.Event = attrs.field(factory=trio.Event, init=False)
    _containment: str = attrs.field(default="", init=False)
    _began: float = attrs.field(factory=time.time, init=False)
    _data: Path | None = attrs.field(default=None, init=False)
    _runner: Runner | None = attrs.field(default=None, init=False)
    _reloader: Reloader | None = attrs.field(default=None, init=False)
    _reload_later: bool = attrs.field(default=False, init=False)
    _secrets: Mapping[str, str] = attrs.field(factory=dict, init=False, repr=False)
    _hook_secrets: HookSecrets = attrs.field(init=False)
    _tracing: Tracing = attrs.field(init=False)
    _farewell: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _level_listener: Callable[[], None] = attrs.field(default=lambda: None, init=False)
    _notifier: Notifier = attrs.field(factory=Notifier, init=False)
    _metrics: Metrics = attrs.field(factory=Metrics, init=False)
    _line: StatusLine = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._line = StatusLine(self._status, lambda text: self._notifier.status(text))

    async def run(self, early: Iterable[int]) -> int:
        """Run to the end and return the exit status."""
        self._notifier, interval = open_notifier(self.environ), watchdog_interval(self.environ)
        with trio.open_signal_receiver(*HEARD) as signals, noticing_dead_threads() as well:
            async with trio.open_nursery() as nursery:
                if interval is not None:
                    nursery.start_soon(feed_watchdog, self._notifier.alive, interval, well, name="watchdog")
                hear = partial(
                    hear_signals,
                    early,
                    signals,
                    level=lambda: self.level,
                    stop=self.stop,
                    reload=self.reload,
                    hand_over=self.hand_over,
                )
                nursery.start_soon(hear, name="signals")
                status = await self._live()
                nursery.cancel_scope.cancel()
        return status

    def stop(self, level: StopLevel) -> None:
        """Begin to end, or end more urgently."""
        self.level = max(self.level, level)
        # A drain may take hours, and a manager that hears of an end gives it TimeoutStopSec: it hears of the last part.
        if self.level >= StopLevel.CANCEL:
            self._notifier.stopping(self._status())
        if self.level >= StopLevel.KILL:
            self._farewell.cancel()
        self._stopping.set()
        if self._runner is not None:
            self._runner.request_shutdown(self.level)
            self._level_listener()
            self._line.look_again()
        else:
            self._start.cancel()

    def hand_over(self) -> None:
        """Begin to leave all running jobs to the next daemon, and to end."""
        if not self.settings.handover:
            log.warning("not handing over: the daemon runs without --handover")
        elif self.level >= StopLevel.CANCEL:
            log.warning("not handing over: all jobs are being canceled")
        elif not self._handing_over.is_set():
            log.info("handing over: running jobs are left to the next daemon")
            self._handing_over.set()
            self._notifier.stopping("handing over to the next daemon")
            self.stop(StopLevel.DRAIN)

    def reload(self) -> None:
        """Read the definitions again, after the start if it is not over: they may have been read by now."""
        if self._reloader is not None:
            self._reloader.request()
        else:
            self._reload_later = True

    async def _live(self) -> int:
        log.info("starting prunner-trio", extra={"version": __version__, "pid": os.getpid()})
        settings, status = self.settings, 0
        with self._start:
            with _or_cannot_start("cannot use the sockets that were passed"):
                passed = inherited_sockets(self.environ)
            await trio.to_thread.run_sync(self._check, bool(passed), abandon_on_cancel=True)
            with _or_cannot_start("cannot use the working directory"):
                world = look_around(self.environ, settings.env_files)
            load = partial(load_definitions, no_keep=self._no_keep)
            definitions = await trio.to_thread.run_sync(
                load, settings.pattern, Path(settings.path), missing_limits, abandon_on_cancel=True
            )
            self._secrets = world.secrets
            warn_of_secrets(definitions, world.secrets)
            self._hook_secrets = HookSecrets(world.secrets, Path(world.cwd))
            await trio.to_thread.run_sync(self._hook_secrets.read, definitions, abandon_on_cancel=True)
            log.info("loaded definitions", extra={"pipelines": len(definitions), "files": len(definitions.files)})
            if not definitions.files:
                log.warning("no definition file", extra={"path": settings.path, "pattern": settings.pattern})
            data = self._data = Path(world.cwd) / settings.data
            async with contextlib.AsyncExitStack() as stack:
                sockets = passed or await self._bind()
                for sock in sockets:
                    stack.callback(sock.close)
                secret = find_secret(settings.jwt_secret, settings.config)
                with _or_cannot_start("cannot use the data directory"):
                    journal = await stack.enter_async_context(
                        open_journal(
                            data, now=time.time, attempted=self._metrics.committed, progress=Recovering(self._notifier)
                        )
                    )
                    (data / "logs").mkdir(mode=0o700, exist_ok=True)
                    place = place_of(data)
                self._tracing = await trio.to_thread.run_sync(open_tracing, self.environ, abandon_on_cancel=True)
                launcher = await self._open_launcher(stack, place, data / "ends")
                runner = await stack.enter_async_context(
                    run_engine(
                        definitions,
                        launcher=self._tracing.launcher(
                            TimedLauncher(launcher, self._metrics.launched, self._metrics.launch_failed)
                        ),
                        journal=journal,
                        output=FileOutputStore(data),
                        env=world.env,
                        cwd=world.cwd,
                        shell=world.shell,
                        most_tasks=launcher.most_tasks,
                        log_limit=settings.log_limit,
                        outlive=settings.handover,
                    )
                )
                notifications = open_notifications(runner, launcher, world)
                status = await self._serve(runner, journal, sockets, secret, notifications)
        return status

    @property
    def _no_keep(self) -> str:
        inside = Containment(self.settings.containment) is Containment.PIDNS
        return "with --containment pidns all processes of a task end with it" if inside else ""

    async def _open_launcher(self, stack: contextlib.AsyncExitStack, place: str, ends: Path) -> PosixLauncher:
        opening = open_launcher(Containment(self.settings.containment), place=place, ends=ends, alone=True)
        try:
            with _or_cannot_start("cannot use the data directory"):
                launcher = await stack.enter_async_context(opening)
        except RuntimeError as exc:
            raise CannotStart(str(exc)) from exc
        self._containment = launcher.containment.value
        if launcher.why_not_better:
            log.info("a better containment is not possible here", extra={"reason": launcher.why_not_better})
        if self.settings.handover and launcher.containment is Containment.PIDNS:
            log.warning("a handover will stop all tasks: with --containment pidns they end with the daemon")
        return launcher

    def _check(self, passed: bool) -> None:
        """Look at the values that can be judged on their own. Raises `PrunnerError`."""
        if not passed:
            try:
                check_address(self.settings.address)
            except OSError as exc:
                raise CannotStart(f"Error starting HTTP API: {exc.strerror}") from exc
        with _or_cannot_start("cannot use the working directory"):
            data = Path.cwd() / self.settings.data
        check_data(data)
        if self.settings.jwt_secret:
            find_secret(self.settings.jwt_secret, self.settings.config)

    async def _bind(self) -> list[socket]:
        try:
            return await trio.to_thread.run_sync(bind, self.settings.address, abandon_on_cancel=True)
        except OSError as exc:
            raise CannotStart(f"Error starting HTTP API: {exc.strerror}") from exc

    async def _serve(
        self,
        runner: Runner,
        journal: SqliteJournal,
        sockets: Sequence[socket],
        secret: str,
        notifications: Notifications,
    ) -> int:
        self._runner = runner  # before the first checkpoint: from here on, signals are the runner's
        settings, shutdown, visitors = self.settings, trio.Event(), Visitors()
        self._reloader = Reloader(
            settings.pattern,
            Path(settings.path),
            current=lambda: runner.definitions,
            replace=partial(self._replace, runner),
            interval=settings.poll_interval if settings.watch else None,
            before=self._notifier.reloading,
            after=self._reloaded,
            read_more=self._hook_secrets.read,
            lacking=missing_limits,
            no_keep=self._no_keep,
        )
        if self._reload_later:
            self._reloader.request()
        app: App = Service(
            runner,
            secret=secret,
            v1=api_v1,
            behind=web_behind(profiling=settings.enable_profiling),
            metrics=scraping(self._metrics),
            closing=shutdown,
            hook_secrets=self._hook_secrets.of,
            rate=float(settings.rate_limit),
            most_streams=settings.max_connections // 2,
            about=partial(self._about, tuple(map(_shown, sockets))),
        )
        limits = HttpLimits(
            connections=settings.max_connections,
            connections_per_address=settings.max_connections_per_address,
        )
        with contextlib.ExitStack() as watching:
            info = build_info(self._containment)
            watching.enter_context(self._tracing.watching(runner))
            watching.enter_context(self._metrics.watching(runner, connections=lambda: visitors.count, info=info))
            if settings.verbose:
                watching.enter_context(runner.observe(log_event))
                app = LoggedRequests(app)
            app = self._tracing.app(app)
            if self._notifier.heard:
                watching.enter_context(runner.observe(self._line.look_again))
            async with trio.open_nursery() as nursery:
                await nursery.start(notifications.run, name="notifications")
                async with trio.open_nursery() as http:
                    await http.start(
                        partial(serve_http, app, sockets, limits=limits, shutdown=shutdown, visitors=visitors),
                        name="http",
                    )
                    self._announce(runner, sockets)
                    nursery.start_soon(self._reloader.run, name="reload")
                    nursery.start_soon(self._line.run, name="status line")
                    nursery.start_soon(keep_last_good, journal, name="last good copy of the store")
                    nursery.start_soon(self._hand_over, runner, name="handover")
                    await self._stopping.wait()
                    await jobs_end(runner, self._tell_level)
                    with self._farewell, trio.move_on_after(GRACE):
                        async with trio.open_nursery() as last:
                            last.start_soon(self._tracing.close, name="spans")
                            await notifications.settled()
                    self._notifier.stopping("no job runs any more, closing")
                    shutdown.set()
                nursery.cancel_scope.cancel()
        for sock in sockets:  # from here on nobody would answer what waits in their backlog
            sock.close()
        log.info("ended", extra={"waiting": runner.counts()[1]})
        return 1 if runner.survivors else 0

    async def _hand_over(self, runner: Runner) -> None:
        await self._handing_over.wait()
        await hand_over(runner)

    def _announce(self, runner: Runner, sockets: Sequence[socket]) -> None:
        addresses = ", ".join(_shown(sock) for sock in sockets)
        running, waiting = runner.counts()
        facts = {"address": addresses, "containment": self._containment, "running": running, "waiting": waiting}
        log.info("ready", extra=facts)
        self._notifier.ready(f"listening on {addresses}")
        # What lives now lives to the end: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.enable()

    def _status(self) -> str:
        running, waiting = self._runner.counts() if self._runner is not None else (0, 0)
        return status_text(self.level, running, waiting, self._reloader.problems if self._reloader is not None else 0)

    def _about(self, addresses: tuple[str, ...]) -> About:
        assert self._data is not None
        store = store_file(self._data)
        defined = self._runner is None or self._runner.definitions.files
        return About(
            started=self._began,
            missing="" if defined else f"{self.settings.pattern} below {Path(self.settings.path).absolute()}",
            problems=self._reloader.found if self._reloader is not None else (),
            containment=self._containment,
            addresses=addresses,
            data=self._data,
            measure=partial(measured, self._data, (store, store.with_name(f"{store.name}-wal"))),
        )

    def _replace(self, runner: Runner, definitions: Definitions) -> None:
        runner.replace_definitions(definitions)
        warn_of_secrets(definitions, self._secrets)

    def _reloaded(self, asked: bool) -> None:
        if asked:
            self._notifier.ready(self._status())
        else:
            self._line.look_again()

    def _tell_level(self, listener: Callable[[], None]) -> None:
        self._level_listener = listener


def _shown(sock: socket) -> str:
    name = sock.getsockname()
    if not isinstance(name, tuple):
        return os.fsdecode(name)
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
