"""The command that shows the scripts of completion, and the answer to what these scripts ask."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from prunner_trio.cli.access import NoAccess, find_access
from prunner_trio.cli.completing import Candidate, complete
from prunner_trio.cli.flags import Parsed, Program, UsageError, Values, parse
from prunner_trio.cli.rows import SHORT_ID
from prunner_trio.cli.status import word
from prunner_trio.cli.text import plain
from prunner_trio.cli.which import LATEST, find_job
from prunner_trio.client import ClientError, Daemon, call
from prunner_trio.client.requests import list_jobs, list_pipelines

__all__ = ["answer", "completion", "script"]

_SECONDS = 2.0
"""How long a daemon may take: somebody waits at a prompt."""

_LATEST_JOBS = 30

_SCRIPTS = {
    "bash": r"""# Completion for bash. In ~/.bashrc:  eval "$(NAME completion bash)"
_prunner_trio() {
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}") line joined= current=${COMP_WORDS[COMP_CWORD]}
    # bash takes --flag=value apart at the equals sign
    local parts=() word
    for word in "${words[@]}"; do
        if [[ $word == "=" && ${#parts[@]} -gt 0 ]]; then parts[-1]+="="; joined=1
        elif [[ $joined ]]; then parts[-1]+=$word; joined=
        else parts+=("$word"); fi
    done
    COMPREPLY=()
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        [[ ${parts[-1]} == *=* && ${parts[-1]} == -* ]] && line=${line#*=}
        [[ $line == *[!A-Za-z0-9_.,:/=@%+-]* ]] && line=$(printf '%q' "$line")
        COMPREPLY+=("$line")
    done < <("${COMP_WORDS[0]}" __complete "${parts[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == __files__ ]]; then
        COMPREPLY=()
        compopt -o default 2>/dev/null
    fi
}
complete -F _prunner_trio NAME
""",
    "zsh": r"""#compdef NAME
# Completion for zsh. In ~/.zshrc, behind compinit:  eval "$(NAME completion zsh)"
_prunner_trio() {
    local -a lines words_found meanings
    local line
    lines=("${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ $#lines -eq 1 && $lines[1] == __files__ ]]; then
        _files
        return
    fi
    for line in $lines; do
        [[ -z $line ]] && continue
        words_found+=("${line%%$'\t'*}")
        meanings+=("${line/$'\t'/  -- }")
    done
    compadd -l -d meanings -a words_found
}
if [[ $funcstack[1] == _prunner_trio ]]; then
    _prunner_trio "$@"
else
    compdef _prunner_trio NAME
fi
""",
    "fish": r"""# Completion for fish. In ~/.config/fish/config.fish:  NAME completion fish | source
function __prunner_trio_complete
    set -l words (commandline -opc)
    set -l found ($words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null)
    if test (count $found) -eq 1 -a "$found[1]" = __files__
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $found
    end
end
complete -c NAME -f -a '(__prunner_trio_complete)'
""",
}


def completion(parsed: Parsed) -> int:
    """Show the script for a shell."""
    shell = parsed.operands[0]
    if shell not in _SCRIPTS:
        print(f"{shell!r} is none of {', '.join(_SCRIPTS)}", file=sys.stderr)
        return 1
    sys.stdout.write(script(shell, "prunner-trio"))
    return 0


def script(shell: str, name: str) -> str:
    """Return the script for a shell and a program of that name."""
    return _SCRIPTS[shell].replace("NAME", name)


def answer(program: Program, words: Sequence[str]) -> int:
    """Show what fits to the last word, one per line, each with a tab and its meaning."""

    def known(name: str, before: Sequence[str]) -> Iterable[Candidate]:
        if name in ("FILE", "FILES", "DIR"):
            return [Candidate(f"{words[-1].rpartition('=')[2]}__files__")]
        try:
            return list(_known(program, name, before))
        except (ClientError, NoAccess, UsageError):
            return []

    found = complete(program, words, known)
    if any(candidate.word.endswith("__files__") for candidate in found):
        found = [Candidate("__files__")]
    # A word with a line end in it would be two, and is nothing to complete.
    lines = [f"{word}\t{plain(meaning)}" if meaning else word for word, meaning in found if word == plain(word)]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _known(program: Program, name: str, before: Sequence[str]) -> Iterable[Candidate]:
    if name == "PIPELINE" and _is_local(before):
        yield from map(Candidate, _defined_here(before))
    elif name == "PIPELINE":
        yield from _pipelines(_daemon(program, before))
    elif name == "JOB":
        daemon = _daemon(program, before)
        yield Candidate(LATEST, "the latest job")
        yield from _pipelines(daemon)
        for job in call(daemon, list_jobs(_LATEST_JOBS), patience=_SECONDS, pauses=())["jobs"]:
            yield Candidate(job["id"][:SHORT_ID], f"{job['pipeline']} {word(job)}")
    elif name == "TASK":
        operand = next((each for each in before[1:] if not each.startswith("-")), LATEST)
        for task in find_job(_daemon(program, before), operand)["tasks"]:
            yield Candidate(task["name"], task["state"])


def _pipelines(daemon: Daemon) -> Iterable[Candidate]:
    for pipeline in call(daemon, list_pipelines(), patience=_SECONDS, pauses=())["pipelines"]:
        last = pipeline["last"]
        yield Candidate(pipeline["name"], f"pipeline, last {last['outcome']}" if last else "pipeline")


def _is_local(before: Sequence[str]) -> bool:
    return any(each in ("run", "graph") for each in before)


def _defined_here(before: Sequence[str]) -> Iterable[str]:
    from prunner_trio.definition import load_definitions
    from prunner_trio.errors import InvalidDefinition

    pattern, path = _after(before, "pattern", "**/pipelines.{yml,yaml}"), _after(before, "path", ".")
    try:
        return load_definitions(pattern, Path(path)).pipelines
    except (InvalidDefinition, OSError):
        return ()


def _daemon(program: Program, before: Sequence[str]) -> Daemon:
    given = {name: (value,) for name in ("address", "config", "jwt-secret") if (value := _after(before, name, ""))}
    defaults = parse(program, ("pipelines",), os.environ).values
    values = {name: given.get(name, (defaults.text(name),)) for name in ("address", "config", "jwt-secret")}
    return find_access(Values(values), os.environ).daemon


def _after(before: Sequence[str], name: str, default: str) -> str:
    """Return the value of a flag in an unfinished command line."""
    for index, each in enumerate(before):
        flag, equals, value = each.removeprefix("-").removeprefix("-").partition("=")
        if each.startswith("-") and flag == name:
            return value if equals else next(iter(before[index + 1 : index + 2]), default)
    return default
