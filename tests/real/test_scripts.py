"""Scripts as real shells run them."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prunner_trio.definition.script import compile_script

pytestmark = pytest.mark.real

SHELLS = [shell for shell in ("bash", "sh") if shutil.which(shell)]


@attrs.frozen
class Result:
    status: int
    out: str
    err: str


def start(entries: Sequence[str], shell: str, cwd: Path | str, *, keep_going: bool = False) -> subprocess.Popen[str]:
    text = compile_script(entries, shell=shell, keep_going=keep_going, cwd=str(cwd))
    assert text.script is not None
    script = os.memfd_create("script", os.MFD_CLOEXEC)
    os.write(script, text.script.encode())
    child = subprocess.Popen(
        [*text.argv, f"/proc/{os.getpid()}/fd/{script}"],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        env={name: value for name, value in os.environ.items() if name not in ("BASH_ENV", "ENV")},
    )
    child.script_fd = script  # type: ignore[attr-defined]
    return child


def end(child: subprocess.Popen[str]) -> Result:
    try:
        out, err = child.communicate(timeout=30)
    finally:
        os.close(child.script_fd)  # type: ignore[attr-defined]
    return Result(child.returncode, out, err)


def run(entries: Sequence[str], shell: str, cwd: Path | str = "/", *, keep_going: bool = False) -> Result:
    return end(start(entries, shell, cwd, keep_going=keep_going))


FINE: dict[str, tuple[list[str], str]] = {
    "entries run in order": (["echo one", "echo two"], "one\ntwo\n"),
    "variables carry over": (["X=1 Y='a  b'", 'echo "$X $Y"'], "1 a  b\n"),
    "exports carry over": (["export X=7", "sh -c 'echo $X'"], "7\n"),
    "functions carry over": (["f() { echo in f $1; }", "f 3"], "in f 3\n"),
    "positional parameters carry over": (["set -- a 'b c'", 'echo $# "$2"'], "2 b c\n"),
    "options carry over": (["set -f", "echo *"], "*\n"),
    "aliases of the script are its own affair": (["unset X", "echo ${X-unset}"], "unset\n"),
    "the status before an entry is 0": (["false || :", "echo $?"], "0\n"),
    "here documents": (["cat <<END\na $((1 + 1))\nEND", "cat <<'END'\n$HOME 'x'\nEND"], "a 2\n$HOME 'x'\n"),
    "comments": (["echo a # 'open", "# nothing", "echo b"], "a\nb\n"),
    "quotes of all kinds": (["echo 'a'\"b'c\"\\'d\\\\"], "ab'c'd\\\n"),
    "stdin is empty": (["cat; echo end"], "end\n"),
    "blank separators of the user": (["IFS=:", "X=a:b; set -- $X; echo $2", "echo end"], "b\nend\n"),
    "exit 0 ends its entry only": (["echo a; exit 0; echo no", "echo b; exit 0; echo no", "echo c"], "a\nb\nc\n"),
    "exit 0 in the last entry": (["echo a", "exit 0; echo no"], "a\n"),
    "exit 0 keeps variables": (["X='it''s'; Y='two\nlines'; exit 0", 'echo "$X $Y"'], "its two\nlines\n"),
    "exit 0 keeps exports": (["export X=1; exit 0", "sh -c 'echo $X'"], "1\n"),
    "exit 0 keeps parameters": (["set -- 'a b' \"c'd\" ''; exit 0", 'echo $# "$2"'], "3 c'd\n"),
    "exit 0 keeps no parameters": (["exit 0", "echo $#"], "0\n"),
    "exit 0 keeps options": (
        ["set -f; exit 0", "echo *", "set +f; exit 0", "[ \"$(echo /*)\" != '/*' ] && echo on"],
        "*\non\n",
    ),
    "exit 0 keeps stdin empty": (["exit 0", "cat; echo end"], "end\n"),
    "exit 0 in a function": (["f() { echo f; exit 0; }; f; echo no", "echo b"], "f\nb\n"),
    "exit in a subshell is its own": (["(exit 0); echo a", "(exit 3) || echo b"], "a\nb\n"),
    "an EXIT trap runs at the end": (["trap 'echo bye' EXIT; echo hi", "echo more"], "hi\nmore\nbye\n"),
    "an EXIT trap lives through exit 0": (
        ["trap 'echo bye $?' EXIT; exit 0", "echo more; exit 0", "echo z"],
        "more\nz\nbye 0\n",
    ),
    "an EXIT trap can be taken back": (["trap 'echo no' EXIT", "trap - EXIT"], ""),
    "an EXIT trap can be replaced": (["trap 'echo no' 0", "trap 'echo yes' EXIT; exit 0", "echo a"], "a\nyes\n"),
    "an EXIT trap of a subshell": (["(trap 'echo sub' EXIT; echo in)", "echo out"], "in\nsub\nout\n"),
    "traps of signals": (["trap 'echo got' USR1; kill -USR1 $$", "kill -USR1 $$; echo end"], "got\ngot\nend\n"),
}

FAILING: dict[str, tuple[list[str], int, str]] = {
    "exit": (["echo a; exit 3", "echo no"], 3, "a\n"),
    "a program": (["sh -c 'exit 42'", "echo no"], 42, ""),
    "the last command counts": (["false; echo a", "false", "echo no"], 1, "a\n"),
    "set -e inside an entry": (["set -e; echo a; false; echo no", "echo no"], 1, "a\n"),
    "set -e from an earlier entry": (["set -e", "false; echo no", "echo no"], 1, ""),
    "set -e in a function": (["set -e; f() { false; echo no; }", "f", "echo no"], 1, ""),
    "set -e after exit 0": (["set -e; exit 0", "false; echo no"], 1, ""),
    "a subshell": (["(exit 4)"], 4, ""),
    "an unknown program": (["nosuchprogram-xyz", "echo no"], 127, ""),
    "an unknown program under set -eu": (["set -eu", "nosuchprogram-xyz; echo no"], 127, ""),
    "a signal": (["sh -c 'kill -9 $$'", "echo no"], 137, ""),
    "a pipe": (["true | sh -c 'exit 9'"], 9, ""),
    "after exit 0": (["exit 0", "exit 5", "echo no"], 5, ""),
    "a syntax error belongs to its entry": (["echo first", 'echo "open', "echo no"], 2, "first\n"),
    "another syntax error": (["echo first", "if", "echo no"], 2, "first\n"),
    "an EXIT trap knows the status": (["trap 'echo $?' EXIT", "exit 6"], 6, "6\n"),
    "a directory that is gone": (["d=$(mktemp -d); cd $d", "exit 7"], 7, ""),
}

GOING_ON: dict[str, tuple[list[str], int, str]] = {
    "the last failure counts": (["exit 3", "echo a", "sh -c 'exit 4'", "echo b"], 4, "a\nb\n"),
    "the last entry fails": (["echo a", "exit 5"], 5, "a\n"),
    "exit 0 does not hide a failure": (["false", "echo a; exit 0"], 1, "a\n"),
    "no failure": (["echo a", "exit 0", "echo b"], 0, "a\nb\n"),
    "set -e": (["set -e; false; echo no", "echo a; false; echo no", "echo b"], 1, "a\nb\n"),
    "a syntax error": (["if", "echo a"], 2, "a\n"),
    "state lives through exit": (["X=1; set -- a b; exit 3", "echo $X $2"], 3, "1 b\n"),
    "an EXIT trap runs once": (["trap 'echo bye $?' EXIT", "exit 3", "echo a", "exit 4"], 4, "a\nbye 4\n"),
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", FINE)
def test_scripts_that_succeed(name: str, shell: str, tmp_path: Path) -> None:
    entries, out = FINE[name]
    assert run(entries, shell, tmp_path) == Result(0, out, "")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", FAILING)
def test_the_first_entry_that_fails_ends_the_script_with_its_status(name: str, shell: str) -> None:
    entries, status, out = FAILING[name]
    result = run(entries, shell)
    assert (result.status, result.out) == (status, out), result.err


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", GOING_ON)
def test_with_allow_failure_the_next_entry_runs(name: str, shell: str) -> None:
    entries, status, out = GOING_ON[name]
    result = run(entries, shell, keep_going=True)
    assert (result.status, result.out) == (status, out), result.err


@pytest.mark.parametrize("keep_going", [False, True])
@pytest.mark.parametrize(("shell", "status"), [("bash", 1), ("sh", 2)])
def test_an_unset_variable_under_set_u_fails(shell: str, status: int, keep_going: bool) -> None:
    result = run(["set -u", "echo $UNDEFINED_THING; echo no", "echo after"], shell, keep_going=keep_going)
    assert (result.status, result.out) == (status, "after\n" if keep_going else "")
    assert "UNDEFINED_THING" in result.err


@pytest.mark.parametrize("shell", SHELLS)
def test_every_entry_starts_in_the_directory_of_the_job(shell: str, tmp_path: Path) -> None:
    home = tmp_path / "it's a dir"
    home.mkdir()
    entries = ["mkdir sub; cd sub", "pwd; /bin/pwd; cd /; exit 0", "/bin/pwd"]
    assert run(entries, shell, home) == Result(0, f"{home}\n" * 3, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_directory_that_vanished_fails_the_task(shell: str, tmp_path: Path) -> None:
    home = tmp_path / "gone"
    home.mkdir()
    result = run([f"cd /; rm -r {home}", "echo no"], shell, home)
    assert result.status != 0
    assert result.out == ""
    assert str(home) in result.err


def test_bash_keeps_arrays_functions_and_traps_through_exit_0() -> None:
    entries = [
        "a=(1 '2 3'); declare -A m=([k]='v w'); declare -r r=ro; f() { echo \"f $1\"; }; shopt -s nullglob; exit 0",
        'echo "${a[1]} ${m[k]} $r"; f x; echo /nosuch*; r=2',
    ]
    result = run(entries, "bash")
    assert result.out == "2 3 v w ro\nf x\n\n"
    assert result.status == 1
    assert "readonly" in result.err


def test_bash_names_itself_and_the_line_in_messages() -> None:
    result = run(["echo a", "nosuchprogram-xyz", "echo b"], "bash")
    assert result.err == "bash: line 2: nosuchprogram-xyz: command not found\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_trace_shows_little_but_the_script(shell: str) -> None:
    lines = run(["set -x; echo hi", "echo there"], shell).err.splitlines()
    assert [line.lstrip("+ ") for line in lines if "echo" in line and "eval" not in line] == ["echo hi", "echo there"]
    assert not any("__prunner" in line for line in lines)


def test_sourced_files_may_exit_and_set_traps(tmp_path: Path) -> None:
    (tmp_path / "lib.sh").write_text("trap 'echo bye' EXIT\nexit 0\n")
    for shell in SHELLS:
        assert run([". ./lib.sh", "echo more"], shell, tmp_path) == Result(0, "more\nbye\n", "")


def test_state_of_any_size_lives_through_exit_0() -> None:
    big = "x=$(head -c 300000 /dev/zero | tr '\\0' y); exit 0"
    for shell in SHELLS:
        assert run([big, "echo ${#x}"], shell) == Result(0, "300000\n", "")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("keep_going", [False, True])
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("before", ["", "false; ", "trap 'echo bye' EXIT; "])
def test_no_entry_runs_after_a_signal(shell: str, keep_going: bool, sig: int, before: str, tmp_path: Path) -> None:
    entries = [f"{before}touch ready; sleep 71.4; touch same", "touch next"]
    child = start(entries, shell, tmp_path, keep_going=keep_going)
    deadline = time.monotonic() + 20
    while not (tmp_path / "ready").exists() or b"sleep" not in group_of(child.pid):
        assert time.monotonic() < deadline
    os.killpg(child.pid, sig)
    result = end(child)
    assert result.status == -sig
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ready"]


def group_of(leader: int) -> bytes:
    text = b""
    for child in Path(f"/proc/{leader}/task/{leader}/children").read_text().split():
        try:
            text += Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
    return text


# ------------------------------------------------------------------------------------------------------- any text

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)


def word(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=25, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=4))
@example(texts=["'", "\n", "\\", '`$(x)"', "__PRUNNER_STATE", "$'\\x41'"])
def test_any_text_arrives_in_order_as_it_was_written(shell: str, texts: list[str]) -> None:
    entries = [f"printf '%s\\n' {word(text)}" for text in texts]
    assert run_bytes(entries, shell) == "".join(f"{text}\n" for text in texts).encode()


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=15, deadline=None)
@given(text=TEXT)
@example(text="__PRUNNER_STATE\n'\n$(echo no)\\")
def test_any_value_lives_through_exit_0(shell: str, text: str) -> None:
    entries = [f"x={word(text)}; set -- {word(text)}; exit 0", 'printf \'%s\\n%s\\n\' "$x" "$1"']
    assert run_bytes(entries, shell) == f"{text}\n{text}\n".encode()


def run_bytes(entries: Sequence[str], shell: str) -> bytes:
    text = compile_script(entries, shell=shell, keep_going=False, cwd="/")
    script = os.memfd_create("script", os.MFD_CLOEXEC)
    try:
        os.write(script, (text.script or "").encode())
        argv = [*text.argv, f"/proc/{os.getpid()}/fd/{script}"]
        return subprocess.run(argv, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
    finally:
        os.close(script)
