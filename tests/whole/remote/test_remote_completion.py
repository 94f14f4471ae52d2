"""Completion in real shells: bash always, zsh and fish where they are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.whole

BIN = Path(sys.executable).parent

BASH = r"""
eval "$(prunner-trio completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_prunner_trio
printf '%s\n' "${COMPREPLY[@]}"
"""
FISH = r"""
prunner-trio completion fish | source
complete -C $argv[1]
"""
# zsh completes only where somebody types, so the function is asked with the builtin in a stand-in.
ZSH = r"""
compdef() { :; }
compadd() { local -a found; found=("${(@P)argv[-1]}"); print -l -- $found; }
_files() { print -- FILES; }
eval "$(prunner-trio completion zsh)"
words=("$@"); CURRENT=$#
_prunner_trio
"""


def shell(remote: Any, words: list[str], *command: str) -> list[str]:
    environment = remote.environment(**remote.access) | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"HOME": str(remote.folder), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [*command, *words], cwd=remote.folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return [line.partition("\t")[0] for line in done.stdout.splitlines() if line]


def offered(remote: Any, name: str, *words: str) -> list[str]:
    match name:
        case "bash":
            return shell(remote, ["prunner-trio", *words], "bash", "--norc", "-c", BASH, "bash")
        case "zsh":
            return shell(remote, ["prunner-trio", *words], "zsh", "-f", "-c", ZSH, "zsh")
        case _:
            return shell(remote, [" ".join(("prunner-trio", *words))], "fish", "--no-config", "-c", FISH)


SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
    for name in ("bash", "zsh", "fish")
]


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_offers_commands_pipelines_jobs_tasks_and_choices(remote: Any, name: str) -> None:
    job = remote.ok("trigger", "bad", "--wait", status=10).strip()
    assert offered(remote, name, "trig") == ["trigger"]
    assert offered(remote, name, "trigger", "si") == ["site"]
    assert offered(remote, name, "show", job[:5]) == [job[:8]]
    assert sorted(offered(remote, name, "cancel", "late")) == ["late", "latest"]
    assert offered(remote, name, "logs", "bad", "--task", "s") == ["second"]
    assert offered(remote, name, "jobs", "--state", "error,ca") == ["error,canceled"]
    assert offered(remote, name, "run", "rud") == ["rude"]
    assert offered(remote, name, "trigger", "nothing-like-that") == []


@pytest.mark.parametrize("name", SHELLS)
def test_the_script_has_no_mistake_in_its_syntax(remote: Any, name: str) -> None:
    script = remote.ok("completion", name)
    subprocess.run([name, "-n"], input=script, text=True, check=True, timeout=60)


def test_bash_completes_a_value_behind_an_equals_sign(remote: Any) -> None:
    assert offered(remote, "bash", "jobs", "--state", "=", "err") == ["error"]


def test_bash_leaves_files_to_itself(remote: Any) -> None:
    assert offered(remote, "bash", "jobs", "--config", "") == []


def test_without_a_daemon_a_shell_offers_what_the_program_knows(remote: Any) -> None:
    done = remote.call("__complete", "trigger", "", PRUNNER_ADDRESS="127.0.0.1:1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert remote.call("__complete", "wat", PRUNNER_ADDRESS="127.0.0.1:1").stdout.startswith("watch\t")


def test_another_shell_is_refused(remote: Any) -> None:
    done = remote.call("completion", "tcsh")
    assert (done.returncode, done.stderr) == (1, "'tcsh' is none of bash, zsh, fish\n")
