"""The installed command: what it prints, what it touches, how it exits."""

import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest
import trio

from prunner_trio.cli.table import PROGRAM as PROGRAM_TABLE
from prunner_trio.storage import open_journal

pytestmark = pytest.mark.whole

PROGRAM = Path(sys.executable).with_name("prunner-trio")
GOOD = "pipelines:\n  build:\n    tasks:\n      a: {script: [echo]}\n      b: {script: [echo], depends_on: [a]}\n"
SECRET = "a-secret-of-the-tests-0123456789"


def clean_environment(**more: str) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("PRUNNER_")} | more


def call(
    folder: Path, *words: str, program: Path = PROGRAM, text: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *words],
        cwd=folder,
        env=clean_environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help_and_version_touch_nothing_and_exit_with_0(tmp_path: Path) -> None:
    for words in (["--help"], ["-h"], ["help"], ["version"], ["--version"], ["help", "run"], ["run", "--help"]):
        done = call(tmp_path, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["version"], ["help", "graph"], ["--nonsense"]])
def test_nothing_heavy_is_imported_for_help_and_version(tmp_path: Path, words: list[str]) -> None:
    code = (
        "import sys; from prunner_trio.cli.main import main; main(['prunner-trio', *sys.argv[1:]]);"
        "print(sorted({'attrs', 'trio', 'yaml', 'quart', 'asyncio', 'logging', 'argparse', 'jwt'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.endswith("[]\n"), done


def test_the_daemon_starts_without_the_web_framework() -> None:
    code = (
        "import sys, prunner_trio.daemon.main; print(sorted({'quart', 'asyncio', 'h2', 'wsproto'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done


def test_called_through_a_symlink_it_is_the_same_program_under_that_name(tmp_path: Path) -> None:
    link = tmp_path / "bin" / "prunner"
    link.parent.mkdir()
    link.symlink_to(PROGRAM)
    done = call(tmp_path, "--help", program=link)
    assert done.stdout.startswith("prunner: ")
    assert call(tmp_path, "version", program=link).stdout == call(tmp_path, "version").stdout


def test_a_module_run_is_the_same_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prunner_trio", "version"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == call(tmp_path, "version").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--verbos"], "unknown flag --verbos (did you mean --verbose?)"),
        (["--data"], "flag --data needs a value"),
        (["--poll-interval", "soon"], "flag --poll-interval: 'soon' is not a duration"),
        (["--poll-interval", "0s"], "flag --poll-interval: '0s' is not more than 0s"),
        (["--watch=perhaps"], "flag --watch: 'perhaps' is neither true nor false"),
        (["grpah"], "unknown command 'grpah' (did you mean graph?)"),
        (["bogus"], "unknown command 'bogus'\nprunner-trio --help shows all flags and commands\n"),
        (["graph", "--frmt", "x"], "\nprunner-trio graph --help shows its flags\n"),
        (["graph"], "graph needs PIPELINE (such as prunner-trio graph build)"),
        (["graph", "build", "--format", "png"], "flag --format: 'png' is none of text, dot, svg"),
        (["run", "build", "-v", "novalue"], "flag --variable: 'novalue' is not of the form name=value"),
        (["run", "build", "--json-var", "x=[1"], "flag --json-var: the value of 'x' is not JSON"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_said_on_stderr(tmp_path: Path, words: list[str], message: str) -> None:
    done = call(tmp_path, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_validate_says_that_all_is_well(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yml").write_text(GOOD)
    done = call(tmp_path, "validate")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 pipeline in 1 file, no problems\n", "")


def test_validate_shows_all_problems_of_all_files_and_exits_with_1(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yml").write_text("pipelines:\n  a: {taks: {}}\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "pipelines.yaml").write_text("pipelines:\n  b: {concurrency: -1}\n  c: {queue_limit: -1}\n")
    done = call(tmp_path, "validate")
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["pipelines.yml", *["sub/pipelines.yaml"] * 2]
    assert "3 problems" in done.stderr


def test_validate_as_json_is_for_editors(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yml").write_text("pipelines:\n  a: {taks: {}}\n")
    done = call(tmp_path, "validate", "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["valid"]) == (1, False)
    assert (result["problems"][0]["file"], result["problems"][0]["line"]) == ("pipelines.yml", 2)
    (tmp_path / "pipelines.yml").write_text(GOOD)
    assert json.loads(call(tmp_path, "validate", "--json").stdout) == {
        "valid": True,
        "files": ["pipelines.yml"],
        "pipelines": ["build"],
        "problems": [],
        "warnings": [],
    }


def test_validate_finds_it_a_problem_that_there_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    done = call(tmp_path, "validate", "--path", "sub")
    assert done.returncode == 1
    assert f"no file matches **/pipelines.{{yml,yaml}} below {tmp_path / 'sub'}" in done.stdout
    done = call(tmp_path, "validate", "--json", "--pattern", "*.yml")
    result = json.loads(done.stdout)
    assert (done.returncode, result["valid"]) == (1, False)
    assert f"no file matches *.yml below {tmp_path}" in result["problems"][0]["message"]


def test_validate_warns_of_tasks_that_do_nothing(tmp_path: Path) -> None:
    tasks = "x: {}, y: {script: []}, z: {script: [make]}, all: {depends_on: [x, y, z]}"
    (tmp_path / "pipelines.yml").write_text(f"pipelines: {{a: {{tasks: {{{tasks}}}}}}}")
    done = call(tmp_path, "validate")
    assert (done.returncode, done.stderr) == (0, "")
    *warnings, last = done.stdout.splitlines()
    assert [line.partition(" has no script")[0] for line in warnings] == [
        f'warning: pipelines.yml: pipeline "a": task "{name}"' for name in "xy"
    ]
    assert last == "1 pipeline in 1 file, no problems, 2 warnings"
    result = json.loads(call(tmp_path, "validate", "--json").stdout)
    assert (result["valid"], [each["key"] for each in result["warnings"]]) == (
        True,
        [f"pipelines.a.tasks.{name}.script" for name in "xy"],
    )


def test_path_and_pattern_count_before_and_behind_a_command(tmp_path: Path) -> None:
    (tmp_path / "defs").mkdir()
    (tmp_path / "defs" / "x.yml").write_text(GOOD)
    for words in (
        ["--path", "defs", "--pattern", "*.yml", "validate"],
        ["validate", "--path", "defs", "--pattern", "*.yml"],
    ):
        assert call(tmp_path, *words).stdout.startswith("1 pipeline ")
    done = call(tmp_path, "validate", PRUNNER_PATH="defs", PRUNNER_PATTERN="*.yml")
    assert done.stdout.startswith("1 pipeline ")


@pytest.mark.parametrize(("form", "sign"), [("text", "← a"), ("dot", '"a" -> "b"'), ("svg", "<svg")])
def test_graph_has_three_forms(tmp_path: Path, form: str, sign: str) -> None:
    (tmp_path / "pipelines.yml").write_text(GOOD)
    done = call(tmp_path, "graph", "build", "--format", form)
    assert done.returncode == 0
    assert sign in done.stdout


def test_a_pipeline_that_is_not_there_gets_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yml").write_text(GOOD)
    for command in ("graph", "run"):
        done = call(tmp_path, command, "biuld")
        assert (done.returncode, done.stdout) == (1, "")
        assert "pipeline 'biuld' is not defined (did you mean 'build'?)" in done.stderr


def test_broken_files_are_shown_by_every_command_that_needs_them(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yml").write_text("pipelines: [")
    for command in ("graph", "run"):
        done = call(tmp_path, command, "build")
        assert done.returncode == 1
        assert "pipelines.yml:" in done.stderr


def test_schema_is_a_json_schema(tmp_path: Path) -> None:
    assert "$schema" in json.loads(call(tmp_path, "schema").stdout)


def test_token_is_for_a_user_and_a_time(tmp_path: Path) -> None:
    done = call(tmp_path, "token", "--sub", "jane", "--expires", "1h", "--jwt-secret", SECRET)
    claims = jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS256"])
    assert claims["sub"] == "jane"
    assert 3500 < claims["exp"] - time.time() < 3700
    assert list(tmp_path.iterdir()) == []


def test_token_may_be_good_for_less_than_everything(tmp_path: Path) -> None:
    flags = ("--scope", "run", "--pipelines", "web-*, docs", "--pipelines", "x?", "--jwt-secret", SECRET)
    claims = jwt.decode(call(tmp_path, "token", *flags).stdout.strip(), SECRET, algorithms=["HS256"])
    assert (claims["scope"], claims["pipelines"]) == ("run", ["web-*", "docs", "x?"])


@pytest.mark.parametrize("flags", [("--scope", ""), ("--scope", "read run"), ("--pipelines", ""), ("--pipelines", ",")])
def test_token_with_rights_that_are_empty_or_unknown_is_not_made(tmp_path: Path, flags: tuple[str, str]) -> None:
    done = call(tmp_path, "token", *flags, "--jwt-secret", SECRET)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"flag {flags[0]}" in done.stderr


def test_token_without_anything_is_for_ever_and_makes_the_config(tmp_path: Path) -> None:
    done = call(tmp_path, "token")
    secret = (tmp_path / ".prunner.yml").read_text().split()[1]
    assert set(jwt.decode(done.stdout.strip(), secret, algorithms=["HS256"])) == {"iat"}
    assert secret not in done.stdout + done.stderr


def test_debug_shows_a_header(tmp_path: Path) -> None:
    plain = call(tmp_path, "debug")
    assert re.search(r"Authorization: Bearer [\w-]+\.[\w-]+\.[\w-]+", plain.stderr)
    short = call(tmp_path, "debug", MINIMAL_OUTPUT="1")
    assert re.fullmatch(r"Bearer [\w-]+\.[\w-]+\.[\w-]+", short.stdout)
    assert short.stderr == ""


def test_a_short_secret_is_refused_and_not_shown(tmp_path: Path) -> None:
    for command in ("debug", "token"):
        done = call(tmp_path, "--jwt-secret", "hunter2", command)
        assert done.returncode == 1
        assert "jwt_secret must be at least 16 characters long" in done.stderr
        assert "hunter2" not in done.stderr + done.stdout


def test_export_without_a_store_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    done = call(tmp_path, "store", "export", "--output", "data.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no store in .prunner" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_export_names_the_file_that_was_asked_for_when_its_place_is_not_there(tmp_path: Path) -> None:
    done = call(tmp_path, "store", "export", "--output", "nowhere/data.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "exporting jobs to nowhere/data.json: No such file or directory\n"


def test_export_writes_into_no_file_that_somebody_else_has_prepared(tmp_path: Path) -> None:
    """Whatever the name of the temporary file: `$$` stays the process id when the shell becomes the command."""

    async def make_store() -> None:
        async with open_journal(tmp_path / ".prunner", now=time.time):
            pass

    trio.run(make_store)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    command = f"ln -s victim .data.json.$$.tmp && exec '{PROGRAM}' store export --output data.json"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=clean_environment(), check=True, timeout=60)
    assert victim.read_text() == "mine"
    exported = tmp_path / "data.json"
    assert (exported.read_text(), stat.S_IMODE(exported.lstat().st_mode)) == ('{"Jobs":[]}\n', 0o600)


def test_a_reader_that_leaves_is_no_reason_for_a_traceback(tmp_path: Path) -> None:
    command = f"'{PROGRAM}' schema | head -c 1"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.parametrize("command", ["schema", "token --jwt-secret 0123456789abcdef", "validate", "version", "--help"])
def test_an_output_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"'{PROGRAM}' {command} >/dev/full"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.endswith("the output cannot be written: No space left on device")
    assert "Traceback" not in done.stderr


def test_the_document_names_every_flag_variable_default_and_command() -> None:
    document = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    flags = [*PROGRAM_TABLE.flags, *(flag for command in PROGRAM_TABLE.commands for flag in command.flags)]
    wanted = [f"--{flag.name}" for flag in flags if flag.name != "variable"]
    wanted += [f"`{flag.variable}`" for flag in flags if flag.variable]
    wanted += [f"`{flag.default}`" for flag in PROGRAM_TABLE.flags if flag.default]
    wanted += [f"| `{command.name}" for command in PROGRAM_TABLE.commands]
    assert [text for text in wanted if text not in document] == []
