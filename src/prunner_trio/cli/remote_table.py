"""The commands for a daemon, part of the program's table."""

from prunner_trio.cli.common_flags import JSON, VARIABLES
from prunner_trio.cli.flag_checks import positive_duration, whole_number
from prunner_trio.cli.flags import Command, Flag, Kind

__all__ = ["DAEMON_FLAGS", "REMOTE_COMMANDS"]

DAEMON_FLAGS = (
    Flag(
        "address",
        "where the daemon is: host:port, or a URL such as https://ci.example.org/runner",
        variable="PRUNNER_ADDRESS",
    ),
    Flag(
        "config",
        "file with the secret, or with `address` and `token`",
        default=".prunner.yml",
        variable="PRUNNER_CONFIG",
        value="FILE",
    ),
    Flag(
        "jwt-secret",
        "secret for tokens; better in its variable, since others can see flags",
        variable="PRUNNER_JWT_SECRET",
        value="SECRET",
    ),
)
_PLAIN = ("disable-ansi",)
_FOR_JOB = "JOB is an id, its beginning (4 letters or more), the name of a pipeline for its latest job, or `latest`."
_FOR_LIVE_JOB = (
    "JOB is an id, its beginning (4 letters or more), the name of a pipeline for its newest job that runs or, if\n"
    "none does, its latest, or `latest`. If others of it run or wait, stderr says which one was taken."
)
_BY_OUTCOME = "The exit status tells how the job ended: 0 succeeded, 10 failed, 11 timed out, 12 canceled."
_ON_INTERRUPT = Flag("cancel-on-interrupt", "Ctrl-C cancels the job; without, it goes on", Kind.SWITCH)
_FOLLOWING = (
    Flag("wait", "wait until it is over", Kind.SWITCH, short="w"),
    Flag("follow", "show what its tasks write until it is over", Kind.SWITCH, short="f"),
    _ON_INTERRUPT,
    Flag("key", "the same key within 24 hours starts no second job; without: a random one", value="TEXT"),
)

REMOTE_COMMANDS = (
    Command(
        "trigger",
        "start a job at a daemon",
        "prunner-trio trigger build -v branch=main --follow\nJOB=$(prunner-trio trigger build)",
        operands=("PIPELINE",),
        flags=(
            *VARIABLES,
            Flag("partition", "its part of the wait list", value="NAME"),
            *_FOLLOWING,
            JSON,
            *DAEMON_FLAGS,
        ),
        shared=_PLAIN,
        details=(
            "Shows the id of the job, once the job is on disk. A connection that breaks meanwhile is tried again, and\n"
            f"never starts a second job. With --wait and --follow:\n{_BY_OUTCOME}"
        ),
    ),
    Command(
        "retry",
        "do a job again as a new one",
        "prunner-trio retry latest --failed --follow\nprunner-trio retry build -v branch=main",
        operands=("JOB",),
        flags=(
            Flag("failed", "keep what the tasks that are done have done, and run the others", Kind.SWITCH),
            *VARIABLES,
            *_FOLLOWING,
            JSON,
            *DAEMON_FLAGS,
        ),
        shared=_PLAIN,
        details=(
            f"{_FOR_JOB}\n"
            "Its variables are those of the new one, unless others are given. Shows the id of the new job.\n"
            f"With --wait and --follow:\n{_BY_OUTCOME}"
        ),
    ),
    Command(
        "jobs",
        "show jobs, the newest first",
        "prunner-trio jobs\nprunner-trio jobs build --state failed,canceled --limit 10",
        optional=("PIPELINE",),
        flags=(
            Flag(
                "state",
                "in these states; done is the same as succeeded, error as failed",
                Kind.LIST,
                value="STATES",
                choices=("waiting", "running", "succeeded", "failed", "canceled", "done", "error"),
            ),
            Flag("user", "scheduled by this user", value="NAME"),
            Flag("text", "with this text in id, pipeline, user, partition, error or variables", value="TEXT"),
            Flag("since", "created then or later, such as 2026-01-02T03:04:05Z", value="TIME"),
            Flag("until", "created before", value="TIME"),
            Flag("limit", "so many at most, up to 200", default="20", value="NUMBER", check=whole_number(1, 200)),
            Flag("cursor", "go on where a page ended: `older` of its JSON", value="TEXT"),
            JSON,
            *DAEMON_FLAGS,
        ),
        shared=_PLAIN,
        details=(
            "In a pipe a job is a line of id, pipeline, state, outcome, user, time of creation, seconds that it took\n"
            "and reason, with tabs between."
        ),
    ),
    Command(
        "show",
        "show a job and its tasks",
        "prunner-trio show latest",
        operands=("JOB",),
        flags=(JSON, *DAEMON_FLAGS),
        shared=_PLAIN,
        details=(
            f"{_FOR_JOB}\n"
            "In a pipe the first line is `job` and what `jobs` shows; then, for each task, `task`, its name, state,\n"
            "exit code, seconds that it took and reason; and for each thing that somebody did to it, `audit`, time,\n"
            "action, user and detail, with tabs between. As JSON that is `audit`."
        ),
    ),
    Command(
        "logs",
        "show what the tasks of a job have written",
        "prunner-trio logs build --follow\nprunner-trio logs latest --task compile --tail 20",
        operands=("JOB",),
        flags=(
            Flag("follow", "go on until the tasks are over", Kind.SWITCH, short="f"),
            Flag("task", "only of this task", Kind.REPEATED, value="TASK"),
            Flag("tail", "so many lines from the end of each", value="NUMBER", check=whole_number(0, 1_000_000)),
            Flag("stream", "stdout or stderr; without: both", value="STREAM", choices=("stdout", "stderr")),
            JSON,
            *DAEMON_FLAGS,
        ),
        shared=_PLAIN,
        details=(
            f"{_FOR_LIVE_JOB}\n"
            "Of a job that waits, stderr says why. The two outputs of a task go to those of the command. Lines have\n"
            "the name of their task in front, unless there is one task only. In a pipe, bytes stay as they are; on a\n"
            "terminal, nothing but colors is obeyed."
        ),
    ),
    Command(
        "wait",
        "wait until a job is over",
        "prunner-trio wait build --timeout 10m",
        operands=("JOB",),
        flags=(
            Flag("timeout", "how long at most", value="DURATION", check=positive_duration),
            _ON_INTERRUPT,
            JSON,
            *DAEMON_FLAGS,
        ),
        shared=_PLAIN,
        details=f"{_FOR_JOB}\n{_BY_OUTCOME}",
    ),
    Command(
        "watch",
        "show a job as it runs, on the whole screen",
        "prunner-trio watch\nprunner-trio watch build",
        optional=("JOB",),
        flags=(Flag("json", "show the job as a line of JSON at each change", Kind.SWITCH), *DAEMON_FLAGS),
        shared=_PLAIN,
        details=f"{_FOR_LIVE_JOB}\nWithout JOB: `latest`. In a pipe it does what `wait` does.\n{_BY_OUTCOME}",
    ),
    Command(
        "cancel",
        "stop a job, or one of its tasks",
        "prunner-trio cancel build --wait\nprunner-trio cancel latest --task test",
        operands=("JOB",),
        flags=(
            Flag("task", "only this task; the job goes on", value="TASK"),
            Flag("wait", "wait until none of its processes is left", Kind.SWITCH, short="w"),
            JSON,
            *DAEMON_FLAGS,
        ),
        shared=_PLAIN,
        details=_FOR_LIVE_JOB,
    ),
    Command(
        "queue",
        "show the jobs that wait: where, and why",
        "prunner-trio queue",
        optional=("PIPELINE",),
        flags=(JSON, *DAEMON_FLAGS),
        shared=_PLAIN,
        details=(
            "In the order in which they are to start. In a pipe a job is a line of id, pipeline, position (none: it\n"
            "has a slot already), reason, user, time of creation and all this as a sentence, with tabs between."
        ),
    ),
    Command(
        "move",
        "give a job another place in the wait list of its pipeline",
        "prunner-trio move 0123abcd --to 1\nprunner-trio move 0123abcd --after 89ef4567",
        operands=("JOB",),
        flags=(
            Flag("to", "the position, from 1; beyond the end: the last", value="NUMBER", check=whole_number(1, 10**9)),
            Flag("before", "right before this job", value="JOB"),
            Flag("after", "right after this job", value="JOB"),
            JSON,
            *DAEMON_FLAGS,
        ),
        shared=_PLAIN,
        details=f"{_FOR_JOB}\nOne of the three flags is needed. To take a job off the list: `cancel`.",
    ),
    Command(
        "pause",
        "let a pipeline accept jobs and start none, also over restarts",
        "prunner-trio pause deploy",
        operands=("PIPELINE",),
        flags=(JSON, *DAEMON_FLAGS),
        shared=_PLAIN,
        details="Jobs that run go on. See `resume`, and `queue` for what is paused.",
    ),
    Command(
        "resume",
        "let a paused pipeline start jobs again",
        "prunner-trio resume deploy",
        operands=("PIPELINE",),
        flags=(JSON, *DAEMON_FLAGS),
        shared=_PLAIN,
    ),
    Command(
        "pipelines",
        "show the pipelines of a daemon and how their latest jobs ended",
        "prunner-trio pipelines",
        flags=(JSON, *DAEMON_FLAGS),
        shared=_PLAIN,
        details=(
            "`paused` stands for the slots of a pipeline that starts none.\n"
            "In a pipe a pipeline is a line of name, running jobs, slots, waiting jobs and, of the latest job that\n"
            "has ended, outcome, seconds that it took and time of its end, with tabs between."
        ),
    ),
    Command(
        "events",
        "show what happens at a daemon as it happens",
        "prunner-trio events --json",
        optional=("JOB",),
        flags=(Flag("json", "show each event as a line of JSON", Kind.SWITCH), *DAEMON_FLAGS),
        shared=_PLAIN,
        details=(
            "With JOB: that of this job until its end, otherwise of all jobs until Ctrl-C.\n"
            "As JSON, `ready` comes first: what happens from there on is shown.\n"
            "In a pipe an event is a line of time, job, pipeline, task, state and reason, with tabs between."
        ),
    ),
    Command(
        "open",
        "make a link that signs in to the web page",
        "prunner-trio open --browser",
        flags=(
            Flag("browser", "open it in the browser, and show nothing", Kind.SWITCH, short="b"),
            JSON,
            *DAEMON_FLAGS,
        ),
        shared=_PLAIN,
        details=(
            "The link is good once, within a minute. Whoever opens it is signed in for seven days as the user of this\n"
            "command or, if access is by a token, until that ends."
        ),
    ),
    Command(
        "completion",
        "show the script with which a shell completes commands, flags, pipelines and jobs",
        'eval "$(prunner-trio completion bash)"',
        operands=("SHELL",),
        details="SHELL is bash, zsh or fish. Where the script belongs: the comment at its beginning.",
    ),
)
