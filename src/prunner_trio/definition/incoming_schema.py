"""The keys of an incoming webhook in a definition file."""

from prunner_trio.definition.incoming import HOOK_SECRET_VARIABLE
from prunner_trio.definition.keys import Key, Kind, table

__all__ = ["INCOMING", "IN_THE_FILE", "SOURCE"]

INCOMING = table(
    Key(
        "kind",
        Kind.HOOK_KIND,
        "must be given",
        "Who calls, and so how a request is signed and where it says what has happened.",
        "github",
        also=("type", "provider", "source"),
    ),
    Key(
        "secret_file",
        Kind.TEXT,
        "none",
        "The file with the secret that the caller knows as well, relative to the directory of the daemon.",
        "/etc/prunner/site.secret",
        also=("file", "secret_path"),
    ),
    Key(
        "secret_env",
        Kind.HOOK_SECRET,
        f"{HOOK_SECRET_VARIABLE}_ and the name",
        f"The variable of the daemon with that secret, if it is in no file: {HOOK_SECRET_VARIABLE}, or a name that "
        f"begins with {HOOK_SECRET_VARIABLE}_.",
        f"{HOOK_SECRET_VARIABLE}_SITE",
        also=("env", "secret_variable"),
    ),
    Key(
        "events",
        Kind.EVENTS,
        "[push]; all for generic",
        "The events that start a job, each perhaps with an action.",
        "[push, release.published]",
        also=("event", "on"),
    ),
    Key(
        "branches",
        Kind.BRANCHES,
        "all",
        "Patterns of branches; only events of one that matches start a job. `*` stands for any text without a slash, "
        "`**` for any text, `?` for one character.",
        "[main, release/*]",
        also=("branch", "refs"),
    ),
    Key(
        "variables",
        Kind.SOURCES,
        "none",
        "The variables of the job, by name: the field of the payload that each comes from.",
        "{commit: after}",
        also=("vars", "parameters", "inputs", "map", "mapping"),
    ),
    Key(
        "partition",
        Kind.PATH,
        "none",
        "The field of the payload that becomes the partition of the job.",
        "'@branch'",
    ),
)

SOURCE = table(
    Key("from", Kind.PATH, "must be given", "The field of the payload.", "head_commit.id", also=("path", "field")),
    Key("default", Kind.SCALAR, "none", "What counts if the field is missing or null.", "nobody", also=("or", "else")),
    Key(
        "type",
        Kind.TYPE,
        "any",
        "What the field is made into: `any`, which is what it is already, `string`, `integer`, `number` or `boolean`.",
        "integer",
        also=("kind", "as"),
    ),
)

IN_THE_FILE = frozenset({"secret", "token", "password", "key"})
"""Names under which somebody may write the secret itself."""
