"""How values look on a page: states as a word with a sign, times, durations, sizes."""

from collections.abc import Mapping
from datetime import UTC, datetime

import attrs
from markupsafe import Markup

from prunner_trio.http.v1.models import Outcome
from prunner_trio.http.v1.views import outcome
from prunner_trio.model import JobView, State, StopRequest, TaskView
from prunner_trio.model.reasons import in_words, stop_in_words

__all__ = [
    "Sign",
    "bytes_text",
    "duration_text",
    "going",
    "lasting",
    "moment",
    "reason_of_job",
    "reason_of_task",
    "sign_of_job",
    "sign_of_outcome",
    "sign_of_task",
    "sign_of_wait",
    "stop_text",
    "word_of_state",
]


@attrs.frozen
class Sign:
    """A state to look at: its color is never all that tells it.

    Attributes:
        kind: the class for its color: wait, run, good, bad, off or skip.
        icon: a character.
        word: what it is called.
    """

    kind: str
    icon: str
    word: str


_STATES: Mapping[State, Sign] = {
    State.WAITING: Sign("wait", "◷", "waiting"),
    State.RUNNING: Sign("run", "▶", "running"),
    State.DONE: Sign("good", "✓", "succeeded"),
    State.ERROR: Sign("bad", "✗", "failed"),
    State.CANCELED: Sign("off", "⊘", "canceled"),
    State.SKIPPED: Sign("skip", "↷", "skipped"),
}
_OUTCOMES: Mapping[Outcome, Sign] = {
    Outcome.SUCCEEDED: Sign("good", "✓", "succeeded"),
    Outcome.FAILED: Sign("bad", "✗", "failed"),
    Outcome.TIMED_OUT: Sign("bad", "⧖", "timed out"),
    Outcome.CANCELED: Sign("off", "⊘", "canceled"),
    Outcome.REPLACED: Sign("off", "⇄", "replaced"),
    Outcome.REFUSED: Sign("off", "⊘", "refused"),
    Outcome.SHUTDOWN: Sign("off", "⊘", "stopped with the daemon"),
    Outcome.INTERRUPTED: Sign("off", "⊘", "interrupted"),
    Outcome.NOT_SAVED: Sign("bad", "✗", "not saved"),
    Outcome.INTERNAL: Sign("bad", "✗", "internal error"),
}
_STOPPING = Sign("run", "■", "stopping")
_ALLOWED = Sign("off", "✗", "failed, allowed")


def sign_of_outcome(end: Outcome) -> Sign:
    """Return the sign of a way to end."""
    return _OUTCOMES[end]


def sign_of_job(job: JobView) -> Sign:
    """Return the sign of a job."""
    end = outcome(job)
    if end is not None:
        return _OUTCOMES[end]
    return _STOPPING if job.stop is not None and job.state is State.RUNNING else _STATES[job.state]


def sign_of_task(task: TaskView) -> Sign:
    """Return the sign of a task."""
    return _ALLOWED if task.state is State.ERROR and not task.failed else _STATES[task.state]


def sign_of_wait(lasted: float) -> Sign:
    """Return the sign of a wait that is over, in seconds."""
    return Sign("wait", "◷", duration_text(lasted))


def word_of_state(state: State) -> str:
    """Return what a state is called."""
    return _STATES[state].word


def reason_of_job(reason: str, job: JobView) -> str:
    """Return in words why a job is as it is; `reason` is what API v1 tells."""
    return in_words(reason, job.stop.by if job.stop is not None else "")


def reason_of_task(task: TaskView, job: JobView) -> str:
    """Return in words why a task of a job is as it is."""
    return reason_of_job(task.reason, job)


def stop_text(stop: StopRequest) -> str:
    """Return why a job was told to stop, and by whom."""
    return stop_in_words(stop.reason, stop.by)


def moment(seconds: float | None) -> Markup:
    """Return a point in time as an element: in UTC, until a script shows it in the zone of the reader."""
    if seconds is None:
        return Markup('<span class="none">–</span>')
    when = datetime.fromtimestamp(seconds, UTC)
    text = when.strftime("%Y-%m-%d %H:%M:%S")
    iso = when.isoformat(timespec="milliseconds")[:23]
    return Markup('<time datetime="{}Z" title="{} UTC">{} UTC</time>').format(iso, text, text)


def lasting(start: float | None, end: float | None) -> Markup:
    """Return how long something took; of what goes on, since when, so that a script can count."""
    if start is None:
        return Markup('<span class="none">–</span>')
    if end is not None:
        return Markup("{}").format(duration_text(end - start))
    return going("", start)


def going(what: str, start: float) -> Markup:
    """Return since when something goes on, which a script makes into how long.

    Args:
        what: a word that stands before "since" and before "for", which stands there only behind a word.
    """
    clock = datetime.fromtimestamp(start, UTC).strftime("%H:%M:%S")
    text = Markup('<span class="counting" data-since="{}" data-words="{}">{}since {} UTC</span>')
    return text.format(f"{start:.3f}", f"{what} for " if what else "", f"{what} " if what else "", clock)


def duration_text(seconds: float) -> str:
    """Return a duration in at most two units."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // 1440} d {minutes // 60 % 24} h"


def bytes_text(size: int | None) -> str:
    """Return a number of bytes in the unit that fits, with three digits or so."""
    if size is None:
        return "–"
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1000 or unit == "TiB":
            break
        value /= 1024
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
