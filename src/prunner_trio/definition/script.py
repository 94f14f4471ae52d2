"""From the entries of a script to the text that one shell runs.

All entries of a task share one shell, so variables, functions and options carry over. Each entry becomes
``eval 'quoted'``: a syntax error then belongs to its own entry, and the status behind it is that of its last command.
The status is judged on a line of its own; ``eval … || exit`` would switch ``set -e`` off inside the entry.

``exit 0`` ends its entry only, as in prunner, whose interpreter never leaves its own process. A shell does leave, so an
EXIT trap replaces it by a new shell that gets the old one's state and goes on behind the entry. That costs nothing as
long as no entry exits.
"""

import posixpath
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from string import Template

import attrs

__all__ = ["ShellText", "compile_script", "quote", "shell_shows"]


@attrs.frozen
class ShellText:
    """A script, ready to be started.

    Attributes:
        argv: the shell and its arguments, to which the path of a file with `script` is to be appended. Empty if there
            is nothing to do; such a script succeeds.
        script: the text for that file; None exactly if `argv` is empty.
        simple: program and arguments of a script that is one plain command, whose direct start cannot be told from its
            start by the shell; None if there is more to it. If the program is not found, the shell has to have its say.
    """

    argv: tuple[str, ...]
    script: str | None = attrs.field(default=None, repr=False)
    simple: tuple[str, ...] | None = None


_PLAIN = r"[A-Za-z0-9_@%+=:,./-]"
_WORD = re.compile(rf"(?:{_PLAIN}|'[^'\0]*')+")
_COMMAND = re.compile(rf"[ \t\n]*({_WORD.pattern}(?:[ \t]+{_WORD.pattern})*)[ \t\n]*")
_PROGRAM = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_+./-]*")
_BLANK = re.compile(r"[ \t\n]*(?:#[^\n]*(?:\n[ \t\n]*|\Z))*")
_TRAPS = re.compile(r"trap|source|eval|(?:^|[\s;&|(){}`])\.\s")
"""An entry that may set an EXIT trap, itself or by what it reads."""

_PLAIN_SHELLS = frozenset({"ash", "bash", "dash", "sh"})
_OWN = re.compile(
    r"\.|alias|bg|bind|break|builtin|caller|case|cd|chdir|command|compgen|complete|compopt|continue|coproc|declare|dirs|"
    r"disown|do|done|echo|elif|else|enable|esac|eval|exec|exit|export|false|fc|fg|fi|for|function|getopts|hash|help|history|"
    r"if|in|jobs|kill|let|local|logout|mapfile|popd|printf|pushd|pwd|read|readarray|readonly|return|select|set|shift|shopt|"
    r"source|suspend|test|then|time|times|trap|true|type|typeset|ulimit|umask|unalias|unset|until|wait|while|env|printenv"
)
"""What a shell does itself, what it reads as syntax, and the programs that show what it adds to the environment."""


def quote(text: str) -> str:
    """Return `text` as one word of any shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def shell_shows(env: Mapping[str, str]) -> bool:
    """Tell whether a shell that starts with `env` may read files or functions that change what a plain command means.

    If so, `ShellText.simple` is not to be used.
    """
    # Joined, since a look at each of some dozens of names costs ten times as much.
    return "BASH_ENV" in env or "ENV" in env or "\0BASH_FUNC_" in "\0" + "\0".join(env)


def compile_script(entries: Sequence[str], *, shell: str, keep_going: bool, cwd: str) -> ShellText:
    """Make one shell text of the entries of a task.

    Args:
        entries: shell texts, templates already filled in.
        shell: name or path of the shell; bash is told from other shells by the name of the file.
        keep_going: an entry that fails does not end the script; its status is the last failing one's.
        cwd: absolute path of the directory in which every entry starts.
    """
    texts = [entry for entry in entries if not _BLANK.fullmatch(entry)]
    if not texts:
        return ShellText(())
    name = posixpath.basename(shell)
    traps = any(_TRAPS.search(text) for text in texts)
    parts = [
        _preamble(shell, cwd, len(texts), keep_going, traps),
        *(_entry(number, text, keep_going=keep_going) for number, text in enumerate(texts, 1)),
        'exit "$__prunner_failed"\n',
    ]
    load = _LOAD_BASH if name == "bash" else _LOAD
    return ShellText((shell, "-c", load, name), "".join(parts), _simple(texts, name))


@lru_cache(maxsize=64)  # the tasks of a pipeline share a few; filling one in costs six times the rest
def _preamble(shell: str, cwd: str, entries: int, keep_going: bool, traps: bool) -> str:
    """Return what comes before the entries."""
    name = posixpath.basename(shell)
    bash = name == "bash"
    fill = {
        "dir": quote(cwd),
        "last": str(entries),
        "shell": quote(shell),
        "name": quote(name),
        "resume": quote(_RESUME_BASH if bash else _RESUME),
        "goes_on": '[ "$__prunner_status" -ge 0 ]' if keep_going else '[ "$__prunner_status" -eq 0 ]',
        "status": _STATUS_BASH if bash else _STATUS,
        "verdict": _VERDICT_BASH if bash else "",
    }
    exit_trap = Template(_EXIT_TRAP).substitute(fill)
    preamble = Template(_PREAMBLE).substitute(fill, exit_trap=quote(exit_trap))
    if traps:
        preamble += _TRAP_BASH if bash else _TRAP_ALIAS
    return _on_one_line(preamble) if bash else preamble


def _entry(number: int, text: str, *, keep_going: bool) -> str:
    # Redirecting a group costs no process and keeps our own commands out of what `set -x` shows. The quoted text begins
    # on the first line and ends on the last one, so that the line numbers of bash are those of the entries together.
    judge = "" if keep_going else '[ "$__prunner_failed" -eq 0 ] || exit "$__prunner_failed"; '
    return (
        f"if {{ __prunner_enter {number}; }} 2>/dev/null; then eval {quote(text)}; "
        '{ __prunner_status=$?; [ "$__prunner_status" -eq 0 ] || __prunner_failed=$__prunner_status; } 2>/dev/null; '
        f"{judge}"
        'elif [ "$__prunner_away" -ne 0 ]; then command cd "$__prunner_dir" || exit; fi\n'
    )


def _on_one_line(text: str) -> str:
    """Return a command for bash that does the same as `text`, without a line break."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"eval $'{escaped}'; "


def _simple(texts: Sequence[str], name: str) -> tuple[str, ...] | None:
    if len(texts) != 1 or name not in _PLAIN_SHELLS:
        return None
    match = _COMMAND.fullmatch(texts[0])
    if match is None:
        return None
    words = tuple(word.replace("'", "") for word in _WORD.findall(match[1]))
    if not match[1].startswith(words[0]) or not _PROGRAM.fullmatch(words[0]):
        return None
    return None if _OWN.fullmatch(words[0]) or posixpath.basename(words[0]) in ("env", "printenv") else words


# ------------------------------------------------------------------------------------------------------- shell texts

# The text is read into a variable rather than sourced: messages of bash then begin with `bash:`, not with the path.
_LOAD_BASH = (
    '__prunner_path=$1 __prunner_at=1 __prunner_resumed=; shift; IFS= read -r -d "" __prunner_text <"$__prunner_path"; '
    'eval "$__prunner_text"'
)
_LOAD = '__prunner_path=$1 __prunner_at=1 __prunner_resumed=; shift; . "$__prunner_path"'
_RESUME_BASH = '. /dev/stdin 2>/dev/null; exec </dev/null; eval "$__prunner_text"'
_RESUME = '. /dev/stdin 2>/dev/null; exec </dev/null; . "$__prunner_path"'

# With `-c`, bash ends with 127 when an expansion fails under `set -u`, where a script file ends with 1; the status of
# the last pipeline tells the two apart from a program that was not found.
_STATUS = "__prunner_status=$? __prunner_flags=$-"
_STATUS_BASH = _STATUS + " __prunner_pipe=${PIPESTATUS[*]}"
_VERDICT_BASH = "case $__prunner_status/$-/$__prunner_pipe in 127/*u*/1) __prunner_status=1 __prunner_wrong=1 ;; esac\n"

_PREAMBLE = """\
__prunner_dir=$dir __prunner_shell=$shell
__prunner_enter() {
[ "$$__prunner_at" -eq "$$1" ] || return 1
__prunner_at=$$(($$1 + 1))
[ "$$PWD" = "$$__prunner_dir" ] || command cd "$$__prunner_dir" || { __prunner_away=1; return 1; }
}
__prunner_die() { __prunner_at=0; command trap - "$$1"; kill -s "$$1" "$$$$"; }
__prunner_same() { return "$$__prunner_status"; }
__prunner_state() {
if [ -n "$${BASH_VERSION-}" ]; then
shopt -p; command trap -p; declare -p; declare -f
else
set; export -p; readonly -p
fi
:
}
__prunner_trap() {
if [ "$${1-}" = -- ]; then shift; fi
case $${1-} in -?*) command trap "$$@"; return ;; esac
IFS=" " read -r __prunner_pid __prunner_rest </proc/self/stat
if [ "$$#" -eq 0 ] || [ "$$__prunner_pid" != "$$$$" ]; then command trap "$$@"; return; fi
case $$1 in *[!0-9]* | "") [ "$$#" -gt 1 ] || set -- - "$$@" ;; *) set -- - "$$@" ;; esac
__prunner_action=$$1
shift
for __prunner_signal do
case $$__prunner_signal in
0 | EXIT | SIGEXIT | exit)
__prunner_on_exit=$$__prunner_action
if [ "$$__prunner_on_exit" = - ]; then __prunner_on_exit=; fi ;;
*) command trap -- "$$__prunner_action" "$$__prunner_signal" || return ;;
esac
done
}
if [ -z "$$__prunner_resumed" ]; then
__prunner_resumed=1 __prunner_status=0 __prunner_failed=0 __prunner_wrong=0 __prunner_away=0 __prunner_on_exit=
command trap '__prunner_die INT' INT
command trap '__prunner_die TERM' TERM
command trap '__prunner_die HUP' HUP
command trap $exit_trap EXIT
else
command trap $exit_trap EXIT
set --
__prunner_index=0
while [ "$$__prunner_index" -lt "$$__prunner_count" ]; do
__prunner_index=$$((__prunner_index + 1))
eval "set -- \\"\\$$@\\" \\"\\$$__prunner_arg_$$__prunner_index\\""
done
eval "$$__prunner_options"
fi
"""

_EXIT_TRAP = """\
{ $status; set +x; } 2>/dev/null
${verdict}if [ "$$__prunner_at" -gt 0 ] && [ "$$__prunner_at" -le $last ] && $goes_on; then
[ "$$__prunner_status" -eq 0 ] || __prunner_failed=$$__prunner_status
__prunner_options=$$(set +o)
case $$__prunner_flags in *e*) __prunner_options="$$__prunner_options
set -e" ;; esac
case $$__prunner_flags in *x*) __prunner_options="$$__prunner_options
set -x" ;; esac
set +eu
__prunner_count=0
for __prunner_arg do
__prunner_count=$$((__prunner_count + 1))
eval "__prunner_arg_$$__prunner_count=\\$$__prunner_arg"
done
__prunner_dump=$$(__prunner_state)
exec "$${BASH:-$$__prunner_shell}" -c $resume $name <<__PRUNNER_STATE
$$__prunner_dump
__PRUNNER_STATE
fi
if [ -n "$$__prunner_on_exit" ]; then
case $$__prunner_flags in *x*) set -x ;; esac
if { __prunner_same; } 2>/dev/null; then eval "$$__prunner_on_exit"; else eval "$$__prunner_on_exit"; fi
{ set +x; } 2>/dev/null
fi
if [ "$$__prunner_at" -gt 0 ] && [ "$$__prunner_status" -eq 0 ] && [ "$$__prunner_failed" -ne 0 ]; then
exit "$$__prunner_failed"
fi
if [ "$$__prunner_wrong" -ne 0 ]; then exit 1; fi
"""

_TRAP_BASH = 'trap() { __prunner_trap "$@"; }\n'
_TRAP_ALIAS = "alias trap=__prunner_trap\n"
