"""All flags and commands of the program, from which parsing and help are made."""

from prunner_trio.cli.common_flags import JSON, VARIABLES
from prunner_trio.cli.flag_checks import log_limit, positive_duration, some_words, whole_number
from prunner_trio.cli.flags import Command, Flag, Kind, Program
from prunner_trio.cli.remote_table import REMOTE_COMMANDS

__all__ = ["PROGRAM"]


_FILES = ("path", "pattern")
_SECRET = ("config", "jwt-secret")

PROGRAM = Program(
    doc="runs pipelines of shell tasks and has an HTTP API",
    flags=(
        Flag("verbose", "log debug messages too", Kind.SWITCH, variable="PRUNNER_VERBOSE", short="v"),
        Flag(
            "enable-profiling",
            "serve /debug/pprof/, without a token",
            Kind.SWITCH,
            variable="PRUNNER_ENABLE_PROFILING",
        ),
        Flag(
            "disable-ansi",
            "log in logfmt without colors, also on a terminal",
            Kind.SWITCH,
            variable="PRUNNER_DISABLE_ANSI",
        ),
        Flag(
            "config",
            "file with the secret; made with a random one if missing",
            default=".prunner.yml",
            variable="PRUNNER_CONFIG",
            value="FILE",
        ),
        Flag(
            "jwt-secret",
            "secret for tokens, instead of the config file",
            variable="PRUNNER_JWT_SECRET",
            value="SECRET",
        ),
        Flag(
            "data",
            "directory for jobs and logs; made if missing",
            default=".prunner",
            variable="PRUNNER_DATA",
            value="DIR",
        ),
        Flag(
            "pattern",
            "which files below --path define pipelines",
            default="**/pipelines.{yml,yaml}",
            variable="PRUNNER_PATTERN",
            value="GLOB",
        ),
        Flag("path", "where to look for them", default=".", variable="PRUNNER_PATH", value="DIR"),
        Flag(
            "address",
            "host:port to listen on; :9009 means all interfaces",
            default="localhost:9009",
            variable="PRUNNER_ADDRESS",
        ),
        Flag(
            "max-connections",
            "open HTTP connections at a time; others wait until one is closed",
            default="1000",
            variable="PRUNNER_MAX_CONNECTIONS",
            value="NUMBER",
            check=whole_number(10, 1_000_000),
        ),
        Flag(
            "max-connections-per-address",
            "those of one address that is not loopback; 0: no limit",
            default="500",
            variable="PRUNNER_MAX_CONNECTIONS_PER_ADDRESS",
            value="NUMBER",
            check=whole_number(0, 1_000_000),
        ),
        Flag(
            "rate-limit",
            "HTTP requests a second for each user, or address without one; 0: no limit",
            default="0",
            variable="PRUNNER_RATE_LIMIT",
            value="NUMBER",
            check=whole_number(0, 1_000_000),
        ),
        Flag(
            "env-files",
            "dotenv files for the environment of tasks; empty: none",
            Kind.LIST,
            default=".env,.env.local",
            variable="PRUNNER_ENV_FILES",
            value="FILES",
        ),
        Flag(
            "watch",
            "look for changed definitions every --poll-interval",
            Kind.SWITCH,
            variable="PRUNNER_WATCH",
        ),
        Flag(
            "poll-interval",
            "how often, such as 500ms, 30s or 1m30s",
            default="30s",
            variable="PRUNNER_POLL_INTERVAL",
            value="DURATION",
            check=positive_duration,
        ),
        Flag(
            "containment",
            "how processes of a task are found: auto, cgroup, pidns, subreaper or group",
            default="auto",
            variable="PRUNNER_CONTAINMENT",
            value="MEANS",
            choices=("auto", "cgroup", "pidns", "subreaper", "group"),
        ),
        Flag(
            "log-limit",
            "most bytes of each log of a task, where definitions say nothing: 10Mi, none",
            default="none",
            variable="PRUNNER_LOG_LIMIT",
            value="SIZE",
            check=log_limit,
        ),
        Flag(
            "log-format",
            "text, or json: one object a line",
            default="text",
            variable="PRUNNER_LOG_FORMAT",
            value="FORMAT",
            choices=("text", "json"),
        ),
        Flag(
            "handover",
            "let all tasks outlive the daemon: SIGUSR2 leaves them to the next one",
            Kind.SWITCH,
            variable="PRUNNER_HANDOVER",
        ),
        Flag("version", "show the version", Kind.SWITCH),
    ),
    commands=(
        Command("version", "show the version", "prunner-trio version"),
        Command(
            "debug",
            "show an Authorization header for trying the API by hand",
            "curl -H \"$(MINIMAL_OUTPUT=1 prunner-trio debug | sed 's/^/Authorization: /')\" "
            "http://localhost:9009/pipelines/",
            shared=(*_SECRET, "disable-ansi"),
            details="With MINIMAL_OUTPUT set, nothing but `Bearer TOKEN` goes to stdout.",
        ),
        Command(
            "validate",
            "check all definition files and show every problem",
            "prunner-trio validate\nprunner-trio validate --json --path deploy",
            flags=(JSON,),
            shared=_FILES,
            details=(
                "The exit status is 0 if all is well, 1 if there are problems or no file matches. What is allowed and\n"
                "yet hardly meant, such as a task that does nothing, is a warning and no problem."
            ),
        ),
        Command(
            "graph",
            "show the tasks of a pipeline and what they wait for",
            "prunner-trio graph build\nprunner-trio graph build --format svg > build.svg",
            operands=("PIPELINE",),
            flags=(
                Flag(
                    "format",
                    "text, dot (for Graphviz) or svg",
                    default="text",
                    value="FORMAT",
                    choices=("text", "dot", "svg"),
                ),
            ),
            shared=_FILES,
        ),
        Command(
            "run",
            "run one job in the foreground, without a daemon",
            'prunner-trio run build -v branch=main --json-var \'targets=["web", "api"]\'',
            operands=("PIPELINE",),
            flags=VARIABLES,
            shared=(*_FILES, "env-files", "disable-ansi"),
            details=(
                "The output of the tasks appears as they write it, each line with the name of its task in front.\n"
                "Ctrl-C cancels the job, once more kills it. The exit status is 0 if the job succeeds, that of the\n"
                "first task that failed, or 130 if the job was canceled. The data directory is not touched."
            ),
        ),
        *REMOTE_COMMANDS,
        Command(
            "token",
            "make a token for the API",
            "prunner-trio token --sub jane --expires 1h\n"
            "prunner-trio token --sub dashboard --scope read --pipelines 'web-*,docs'",
            flags=(
                Flag("sub", "name of the user, shown in jobs", value="NAME"),
                Flag(
                    "expires",
                    "how long it is valid; without: for ever",
                    value="DURATION",
                    check=positive_duration,
                ),
                Flag(
                    "scope",
                    "what it allows: read; run: and start and cancel jobs; admin: and all else; without: all",
                    value="ROLE",
                    choices=("read", "run", "admin"),
                ),
                Flag(
                    "pipelines",
                    "the only pipelines that it knows, as patterns with *, ? and [ab], separated by commas",
                    Kind.LIST,
                    value="PATTERNS",
                    check=some_words,
                ),
            ),
            shared=_SECRET,
        ),
        Command(
            "schema",
            "show the JSON Schema of definition files, for editors",
            "prunner-trio schema > pipelines.schema.json",
        ),
        Command(
            "systemd-unit",
            "show a unit file with which systemd runs the daemon",
            "prunner-trio systemd-unit --path /srv/app\nprunner-trio systemd-unit --path /srv/app --socket",
            flags=(
                Flag("socket", "show the unit of its socket, for socket activation", Kind.SWITCH),
                Flag("user", "for your own systemd and not for that of the system", Kind.SWITCH),
                Flag(
                    "run-as",
                    "the user for the daemon and its tasks; dynamic: one made up by systemd",
                    default="prunner-trio",
                    value="NAME",
                ),
                Flag("strict", "turn on all options that hem in the daemon and its tasks", Kind.SWITCH),
            ),
            shared=(
                "path",
                "pattern",
                "data",
                "config",
                "address",
                "env-files",
                "watch",
                "poll-interval",
                "containment",
                "log-limit",
                "log-format",
                "handover",
                "verbose",
                "enable-profiling",
            ),
            details=(
                "Made for this installation: with the path of this program, and with the flags of the daemon that are\n"
                "given here. Without --data and --config both are in /var/lib/prunner-trio. TimeoutStopSec covers the\n"
                "longest kill_timeout in the definitions. With --handover a restart loses no running job. The\n"
                "comments in the file say where it belongs."
            ),
        ),
        Command(
            "store check",
            "look whether the store is whole, and what is in it",
            "prunner-trio store check\nprunner-trio store check --json",
            flags=(JSON,),
            shared=("data",),
            details=(
                "Reads every page and every row; a daemon may be running meanwhile. Nothing is changed: what is\n"
                "damaged is mended by the next start of the daemon. The exit status is 0 if all is well, 1 if not."
            ),
        ),
        Command(
            "store backup",
            "copy jobs and logs into a new directory, also while the daemon runs",
            "prunner-trio store backup /var/backups/prunner-trio-2026-01-31",
            operands=("DEST",),
            flags=(Flag("without-logs", "copy only the jobs", Kind.SWITCH),),
            shared=("data",),
            details=(
                "DEST must not exist; it appears whole and checked, or not at all. It is a data directory: to restore\n"
                "it, stop the daemon and start it with --data DEST, or with DEST in the place of the old directory."
            ),
        ),
        Command(
            "store export",
            "write all jobs in the form of another program",
            "prunner-trio store export --format prunner --output data.json",
            flags=(
                Flag("format", "only prunner: its data.json", default="prunner", value="FORMAT", choices=("prunner",)),
                Flag("output", "where to write; without: to stdout", value="FILE"),
            ),
            shared=("data",),
            details="The way back to prunner. A daemon may be running meanwhile.",
        ),
    ),
)
