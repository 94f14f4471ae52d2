"""What definition files may say, and what is said of those that are wrong."""

import json
from contextlib import suppress

import attrs
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition import (
    Definitions,
    Limits,
    OnDaemonCrash,
    Orphans,
    PipelineDef,
    QueueStrategy,
    TaskDef,
    format_duration,
    order,
    parse_definitions,
    problems_json,
    startup_text,
)
from prunner_trio.definition.check import check_files
from prunner_trio.definition.size import MIN_LOG_LIMIT
from prunner_trio.errors import InvalidDefinition, Problem


def load(text: str) -> PipelineDef:
    (pipeline,) = parse_definitions({"pipelines.yml": text})
    return pipeline


def refused(text: str) -> list[Problem]:
    with pytest.raises(InvalidDefinition) as caught:
        parse_definitions({"pipelines.yml": text})
    return list(caught.value.problems)


def only_problem(text: str) -> Problem:
    (problem,) = refused(text)
    return problem


def of_pipeline(keys: str) -> str:
    return f"pipelines:\n  p: {{{keys}}}\n"


def of_task(keys: str) -> str:
    return f"pipelines:\n  p:\n    tasks:\n      a: {{}}\n      t: {{{keys}}}\n"


FULL = """
x-anything: [1, {2: 3}]
pipelines:
  p:
    concurrency: 2
    queue_limit: 3
    queue_strategy: replace
    start_delay: 1m
    continue_running_tasks_after_failure: true
    retention_period: 48h
    retention_count: 5
    env: {A: 1.10}
    shell: sh
    timeout: 1h
    kill_timeout: 0s
    orphans: wait
    limits: {memory: 64Mi, cpu: 0.5, processes: 9, x-note: 1}
    limits_optional: true
    on_daemon_crash: requeue
    log_limit: none
    secrets: [LOGIN]
    x-note: {free: text}
    on_error: {script: [e], env: {B: yes}, shell: bash, timeout: 30s, kill_timeout: 1s, orphans: kill,
               limits: {memory: 10M}, log_limit: 64Ki, secrets: [_chat2], x-note: 1}
    tasks:
      b:
        script: [echo, 012, ""]
        depends_on: [a]
        allow_failure: true
        env: {C: ""}
        shell: /bin/zsh
        timeout: 500ms
        kill_timeout: 3s
        orphans: wait
        limits: {cpu: 2}
        limits_optional: false
        log_limit: 1.5M
        secrets: [API_TOKEN, SIGN_KEY]
        x-note: 1
      a:
"""


def test_every_key_arrives_where_it_belongs() -> None:
    assert load(FULL) == PipelineDef(
        "p",
        (
            TaskDef("a"),
            TaskDef(
                "b",
                ("echo", "012", ""),
                ("a",),
                True,
                {"C": ""},
                "/bin/zsh",
                0.5,
                3.0,
                Orphans.WAIT,
                Limits(cpu=2.0),
                False,
                1_500_000,
                ("API_TOKEN", "SIGN_KEY"),
            ),
        ),
        concurrency=2,
        queue_limit=3,
        queue_strategy=QueueStrategy.REPLACE,
        start_delay=60.0,
        continue_running_tasks_after_failure=True,
        retention_period=172800.0,
        retention_count=5,
        env={"A": "1.10"},
        on_error=TaskDef(
            "on_error",
            ("e",),
            env={"B": "yes"},
            shell="bash",
            timeout=30.0,
            kill_timeout=1.0,
            orphans=Orphans.KILL,
            limits=Limits(10_000_000),
            log_limit=65_536,
            secrets=("_chat2",),
        ),
        shell="sh",
        timeout=3600.0,
        kill_timeout=0.0,
        file="pipelines.yml",
        orphans=Orphans.WAIT,
        limits=Limits(67_108_864, 0.5, 9),
        limits_optional=True,
        on_daemon_crash=OnDaemonCrash.REQUEUE,
        log_limit=0,
        secrets=("LOGIN",),
    )


EMPTY = [
    "pipelines: {p: }",
    "pipelines: {p: ~}",
    "pipelines: {p: {}}",
    "pipelines: {p: {tasks: }}",
    "pipelines: {p: {tasks: {}}}",
    "pipelines: {p: {concurrency: 0, queue_limit: , env: , on_error: , shell: , timeout: }}",
    "pipelines: {p: {on_error: {}}}",
    "pipelines: {p: {on_error: {script: [], env: {A: b}}}}",
    "pipelines: {p: {start_delay: 0}}",
    "{pipelines: {p: {}}}",
    "\ufeffpipelines: {p: {}}",
    "--- \npipelines: {p: {}}\n...\n",
]


@pytest.mark.parametrize("text", EMPTY)
def test_what_is_left_out_or_null_has_its_default(text: str) -> None:
    assert load(text) == PipelineDef("p", file="pipelines.yml")


@pytest.mark.parametrize("text", ["{}", "pipelines:", "pipelines: {}", "--- ~", "x-only: 1"])
def test_a_file_may_have_no_pipelines(text: str) -> None:
    assert parse_definitions({"f.yml": text}) == Definitions({}, ("f.yml",))


@pytest.mark.parametrize("text", ["yes", "on", "012", "1.10", "0x1F", "1e3", "true", "1:30", "2024-01-01", "'null'"])
def test_texts_stay_as_they_are_written(text: str) -> None:
    name = text.strip("'")
    found = load(
        f"pipelines: {{{text}: {{shell: {text}, env: {{{text}: {text}}},"
        f" tasks: {{{text}: {{script: [{text}]}}, z: {{depends_on: [{text}]}}}}}}}}"
    )
    assert (found.name, found.shell, found.env) == (name, name, {name: name})
    assert (found.tasks[0].name, found.tasks[0].script, found.tasks[1].depends_on) == (name, (name,), (name,))


@pytest.mark.parametrize("name", ["with space", "ünï", "with.dot", "a/b", "..", "null", "~", "<", "a" * 100])
def test_a_task_may_have_any_name(name: str) -> None:
    assert load(json.dumps({"pipelines": {"p": {"tasks": {name: {}}}}})).tasks == (TaskDef(name),)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("TRUE", True), ("false", False)])
def test_flags_are_true_or_false(text: str, value: bool) -> None:
    assert load(of_task(f"allow_failure: {text}")).tasks[1].allow_failure is value


def test_anchors_and_merge_keys_save_writing() -> None:
    found = load("""
x-base: &base
  script: [make]
  env: {A: one}
pipelines:
  p:
    tasks:
      a: *base
      b: {<<: *base, env: {A: two}}
""")
    assert found.tasks == (
        TaskDef("a", ("make",), env={"A": "one"}),
        TaskDef("b", ("make",), env={"A": "two"}),
    )


# The mark stands before what the problem is reported at.
IN_A_PIPELINE = {
    "concurrency: ▸-1": ("concurrency", "concurrency must be greater than 0", ""),
    "concurrency: ▸many": ("concurrency", 'concurrency must be a whole number, not "many"', ""),
    "concurrency: ▸012": ("concurrency", "must be a whole number", "zeros in front"),
    "concurrency: ▸'2'": ("concurrency", "must be a whole number", "without quotes"),
    "concurrency: ▸2.0": ("concurrency", "must be a whole number", ""),
    "concurrency: ▸0x2": ("concurrency", "must be a whole number", ""),
    "concurrency: ▸1_000": ("concurrency", "must be a whole number", ""),
    "concurrency: ▸٣": ("concurrency", "must be a whole number", ""),
    "concurrency: ▸[1]": ("concurrency", "must be a whole number, not a list", ""),
    "concurrency: ▸9223372036854775808": ("concurrency", "too large", ""),
    f"concurrency: ▸{'9' * 5000}": ("concurrency", "too large", ""),
    "queue_limit: ▸-1": ("queue_limit", "queue_limit must not be negative", ""),
    "retention_count: ▸-1": ("retention_count", "retention_count must not be negative", ""),
    "retention_period: ▸-1s": ("retention_period", "retention_period must not be negative", ""),
    "queue_strategy: ▸Append": ("queue_strategy", 'unknown queue strategy: "Append"', 'did you mean "append"?'),
    "queue_strategy: ▸17": ("queue_strategy", 'unknown queue strategy: "17"', "allowed: append, replace"),
    "queue_strategy: ▸[]": ("queue_strategy", "must be a text", ""),
    "queue_strategy: partitioned_replace": ("queue_partition_limit", "must be defined and >=1", ""),
    "queue_strategy: partitioned_replace, queue_partition_limit: ▸0": ("queue_partition_limit", ">=1", ""),
    "queue_strategy: partitioned_replace, queue_partition_limit: ▸-1": ("queue_partition_limit", ">=1", ""),
    "queue_strategy: partitioned_replace, queue_partition_limit: 1, queue_limit: ▸1": (
        "queue_limit",
        "queue_limit is not allowed",
        "",
    ),
    "queue_strategy: partitioned_replace, queue_partition_limit: ▸x": (
        "queue_partition_limit",
        "must be a whole number",
        "",
    ),
    "queue_partition_limit: ▸1": ("queue_partition_limit", "queue_partition_limit is not allowed", ""),
    "start_delay: ▸5": ("start_delay", 'start_delay: "5" has no unit', "write 5s"),
    "start_delay: ▸'5'": ("start_delay", "has no unit", "write 5s"),
    "start_delay: ▸5d": ("start_delay", 'unknown unit "d"', ""),
    "start_delay: ▸soon": ("start_delay", "is not a duration", ""),
    "start_delay: ▸{}": ("start_delay", "must be a duration", ""),
    "start_delay: ▸-5s": ("start_delay", "start_delay must not be negative", ""),
    "start_delay: ▸5s, queue_limit: 0": ("start_delay", "start_delay needs queue_limit > 0", ""),
    "timeout: ▸0s": ("timeout", "timeout must be greater than 0", ""),
    "kill_timeout: ▸-1s": ("kill_timeout", "kill_timeout must not be negative", ""),
    "orphans: ▸keeps": ("orphans", 'unknown way to treat orphans: "keeps"', 'did you mean "keep"?'),
    "orphans: ▸[kill]": ("orphans", "orphans must be a text, not a list", ""),
    "limits: ▸512Mi": ("limits", 'limits must be a map of limits, not "512Mi"', ""),
    "log_limit: ▸[1Mi]": ("log_limit", "log_limit must be a size such as 10Mi or none, not a list", ""),
    "log_limit: ▸1Ki": ("log_limit", 'log_limit: "1Ki" must be at least 4Ki, or "none"', ""),
    "log_limit: ▸0": ("log_limit", 'log_limit: "0" must be at least 4Ki, or "none"', ""),
    "log_limit: ▸None": ("log_limit", 'log_limit: "None" is not a size such as 64Mi, 1.5G or 4096, nor "none"', ""),
    "log_limit: ▸5X": ("log_limit", 'log_limit: "5X" has the unknown unit "X"', ""),
    "secrets: ▸TOKEN": ("secrets", 'secrets must be a list of variable names, not "TOKEN"', 'a list: ["TOKEN"]'),
    "secrets: ▸{A: b}": ("secrets", "secrets must be a list of variable names, not a map", ""),
    "secrets: [A, ▸~]": ("secrets[1]", "entry 2 of secrets must be a text, but is empty", ""),
    "secrets: [A, ▸A]": ("secrets", '"A" is there twice in secrets', ""),
    "secrets: [A, ▸'']": (
        "secrets",
        "an entry of secrets is not the name of an environment variable",
        "such as API_TOKEN",
    ),
    "secrets: [▸2FA]": ("secrets", "an entry of secrets is not the name of an environment variable", ""),
    "secrets: [▸my-token]": ("secrets", "an entry of secrets is not the name of an environment variable", ""),
    "▸mask: [A]": ("mask", "unknown key", 'did you mean "secrets"?'),
    "limits: {memory: ▸512X}": ("limits.memory", 'memory: "512X" has the unknown unit "X"', ""),
    "limits: {memory: ▸lots}": ("limits.memory", 'memory: "lots" is not a size', ""),
    "limits: {memory: ▸1Ki}": ("limits.memory", "memory must be at least 1Mi", ""),
    "limits: {cpu: ▸0}": ("limits.cpu", "cpu must be between 0.01 and 10000", ""),
    "limits: {cpu: ▸all}": ("limits.cpu", 'cpu must be a number such as 0.5, not "all"', ""),
    "limits: {processes: ▸0}": ("limits.processes", "processes must be greater than 0", ""),
    "limits: {▸ram: 1Gi}": ("limits.ram", 'unknown key "ram"', 'did you mean "memory"?'),
    "on_daemon_crash: ▸retry": ("on_daemon_crash", 'unknown way to recover: "retry"', "allowed: cancel, requeue"),
    "on_daemon_crash: ▸[cancel]": ("on_daemon_crash", "on_daemon_crash must be a text, not a list", ""),
    "shell: ▸' '": ("shell", "shell must not be empty", ""),
    "shell: ▸[sh]": ("shell", "shell must be a text, not a list", ""),
    'shell: ▸"a\\0"': ("shell", "NUL", ""),
    "env: ▸[A]": ("env", "env must be a map of texts, not a list", ""),
    "env: {A: ▸}": ("env.A", '"A" in env must be a text, but is empty', 'write ""'),
    "env: {A: ▸{B: c}}": ("env.A", '"A" in env must be a text, not a map', ""),
    "env: {▸A=B: c}": ("env.A=B", "must not be empty nor contain =", ""),
    "env: {▸'': c}": ("env.", "must not be empty nor contain =", ""),
    'env: {A: ▸"\\0"}': ("env.A", "NUL", ""),
    "tasks: ▸[x]": ("tasks", "tasks must be a map of tasks, not a list", ""),
    "on_error: ▸[x]": ("on_error", "on_error must be a map, not a list", ""),
    "on_error: {script: [x], ▸depends_on: []}": ("on_error.depends_on", 'unknown key "depends_on"', "a task"),
    "on_error: {timeout: ▸0s}": ("on_error.timeout", "on_error: timeout must be greater than 0", ""),
    "▸concurency: 2": ("concurency", 'unknown key "concurency"', 'did you mean "concurrency"?'),
    "▸startDelay: 2s": ("startDelay", 'unknown key "startDelay"', 'did you mean "start_delay"?'),
    "▸environment: {}": ("environment", "unknown key", 'did you mean "env"?'),
    "▸depends_on: []": ("depends_on", "unknown key", '"depends_on" belongs into a task'),
    "▸needs: [a]": ("needs", "unknown key", '"depends_on", which belongs into a task'),
    "▸build: {script: [make]}": ("build", "unknown key", 'below "tasks"'),
    "▸zzzzzz: 1": ("zzzzzz", "unknown key", "allowed: tasks, concurrency"),
}


@pytest.mark.parametrize("keys", IN_A_PIPELINE)
def test_a_wrong_pipeline_is_named_with_place_and_reason(keys: str) -> None:
    key, message, hint = IN_A_PIPELINE[keys]
    text = of_pipeline(keys)
    problem = only_problem(text.replace("▸", ""))
    place = text.splitlines()[1].find("▸") + 1 or len("  p")
    assert (problem.file, problem.line, problem.column) == ("pipelines.yml", 2, place)
    assert problem.key == f"pipelines.p.{key}"
    assert problem.message.startswith('invalid pipeline definition "p": ')
    assert message in problem.message
    assert hint in problem.hint


IN_A_TASK = {
    "script: echo hi": ("script", 'script must be a list of texts, not "echo hi"', 'write it as a list: ["echo hi"]'),
    "script: {a: b}": ("script", "script must be a list of texts, not a map", ""),
    "script: [echo, ~]": ("script[1]", "entry 2 of script must be a text, but is empty", ""),
    "script: [echo a: b]": ("script[0]", "entry 1 of script must be a text, not a map", "in quotes"),
    "script: [[a]]": ("script[0]", "entry 1 of script must be a text, not a list", ""),
    'script: ["\\0"]': ("script[0]", "NUL", ""),
    "depends_on: a": ("depends_on", 'must be a list of task names, not "a"', 'write it as a list: ["a"]'),
    "depends_on: [a, a]": ("depends_on", '"a" is there twice in depends_on', ""),
    "depends_on: [~]": ("depends_on[0]", "must be a text", ""),
    "allow_failure: yes": ("allow_failure", 'allow_failure must be true or false, not "yes"', "write true"),
    "allow_failure: off": ("allow_failure", "must be true or false", "write false"),
    "allow_failure: 'true'": ("allow_failure", "must be true or false", "write true"),
    "allow_failure: maybe": ("allow_failure", "must be true or false", ""),
    "allow_failure: []": ("allow_failure", "must be true or false, not a list", ""),
    "timeout: 0s": ("timeout", "timeout must be greater than 0", ""),
    "scripts: [x]": ("scripts", 'unknown key "scripts"', 'did you mean "script"?'),
    "depend_on: []": ("depend_on", "unknown key", 'did you mean "depends_on"?'),
    "commands: [x]": ("commands", "unknown key", 'did you mean "script"?'),
    "queue_limit: 1": ("queue_limit", "unknown key", '"queue_limit" belongs into a pipeline'),
    "env: {A: }": ("env.A", "must be a text", ""),
}


@pytest.mark.parametrize("keys", IN_A_TASK)
def test_a_wrong_task_is_named_with_place_and_reason(keys: str) -> None:
    key, message, hint = IN_A_TASK[keys]
    problem = only_problem(of_task(keys))
    assert problem.line == 5
    assert problem.key == f"pipelines.p.tasks.t.{key}"
    assert problem.message.startswith('invalid pipeline definition "p": task "t": ')
    assert message in problem.message
    assert hint in problem.hint


ELSEWHERE = {
    "- a\n": (1, "", "the file must be a map, not a list", ""),
    "text\n": (1, "", 'the file must be a map, not "text"', ""),
    "pipelines: [a]\n": (1, "pipelines", "pipelines must be a map of pipelines, not a list", ""),
    "pipelines:\n  p: x\n": (2, "pipelines.p", 'a pipeline must be a map, not "x"', ""),
    "pipelines:\n  '': {}\n": (2, "pipelines.", "the name of a pipeline must not be empty", ""),
    'pipelines:\n  "a\\0": {}\n': (2, "pipelines.a\0", "the name of a pipeline", ""),
    "pipelines:\n  p: {tasks: {t: x}}\n": (2, "pipelines.p.tasks.t", 'a task must be a map, not "x"', ""),
    "pipelines:\n  p: {tasks: {'': {}}}\n": (2, "pipelines.p.tasks.", "the name of a task must not be empty", ""),
    f"pipelines:\n  p: {{tasks: {{{'ü' * 51}: }}}}\n": (2, f"pipelines.p.tasks.{'ü' * 51}", "100 bytes at most", ""),
    "pipelines:\n  p: {tasks: {on_error: }, on_error: {script: [a]}}\n": (
        2,
        "pipelines.p.tasks.on_error",
        'a task cannot have the name "on_error"',
        "another name",
    ),
    "pipeline: {}\n": (1, "pipeline", 'unknown key "pipeline"', 'did you mean "pipelines"?'),
    "hello:\n  tasks: {}\n": (1, "hello", 'unknown key "hello"', 'below "pipelines"'),
    "concurrency: 1\n": (1, "concurrency", "unknown key", '"concurrency" belongs into a pipeline'),
}


@pytest.mark.parametrize("text", ELSEWHERE)
def test_what_is_wrong_around_pipelines_and_tasks_is_named(text: str) -> None:
    line, key, message, hint = ELSEWHERE[text]
    problem = only_problem(text)
    assert (problem.line, problem.key) == (line, key)
    assert message in problem.message
    assert hint in problem.hint


def test_a_task_may_be_called_on_error_where_there_is_no_handler() -> None:
    assert load("pipelines: {p: {tasks: {on_error: }, on_error: {}}}").tasks == (TaskDef("on_error"),)


def test_a_missing_dependency_is_told_in_the_words_of_prunner() -> None:
    problem = only_problem(of_task("depends_on: [ghost]"))
    assert problem.message == (
        'invalid pipeline definition "p": missing task "ghost" referenced in depends_on of task "t"'
    )
    assert (problem.line, problem.column) == (5, 24)


def test_a_missing_dependency_comes_with_a_guess() -> None:
    text = "pipelines: {p: {tasks: {build: {}, test: {depends_on: [bulid]}}}}"
    assert only_problem(text).hint == 'did you mean "build"?'


def test_a_cycle_is_shown_as_a_path_where_it_closes() -> None:
    problem = only_problem("""
pipelines:
  p:
    tasks:
      a:
        depends_on: [b]
      b:
        depends_on: [c]
      c:
        depends_on:
          - a
""")
    assert problem.message.endswith("a → b → c → a")
    assert (problem.line, problem.column, problem.key) == (11, 13, "pipelines.p.tasks.c.depends_on")


def test_a_task_that_waits_for_itself_is_a_cycle() -> None:
    assert only_problem(of_task("depends_on: [t]")).message.endswith("t → t")


def test_every_cycle_is_a_problem() -> None:
    tasks = "{a: {depends_on: [b]}, b: {depends_on: [a]}, c: {depends_on: [c]}}"
    messages = [problem.message for problem in refused(of_pipeline(f"tasks: {tasks}"))]
    assert [message.rpartition(": ")[2] for message in messages] == ["a → b → a", "c → c"]


def test_a_long_cycle_is_shown_with_its_middle_left_out() -> None:
    tasks = {f"t{n:04}": {"depends_on": [f"t{(n + 1) % 2000:04}"]} for n in range(2000)}
    message = only_problem(json.dumps({"pipelines": {"p": {"tasks": tasks}}})).message
    assert "t0000 → t0001" in message
    assert message.endswith("t1999 → t0000")
    assert "(1989 more)" in message
    assert len(message) < 300


def test_tasks_come_in_their_order_and_dependencies_as_written() -> None:
    found = load("pipelines: {p: {tasks: {c: {depends_on: [b, a]}, b: , a: }}}")
    assert [task.name for task in found.tasks] == ["a", "b", "c"]
    assert found.tasks[2].depends_on == ("b", "a")


def test_pipelines_of_all_files_are_sorted_by_name() -> None:
    found = parse_definitions({"b.yml": "pipelines: {m: , a: }", "a.yml": "pipelines: {z: }"})
    assert [(pipeline.name, pipeline.file) for pipeline in found] == [("a", "b.yml"), ("m", "b.yml"), ("z", "a.yml")]
    assert found.files == ("a.yml", "b.yml")


def test_a_name_in_two_files_is_a_problem_of_the_second() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_definitions({"sub/p.yml": "pipelines:\n  a: {}", "p.yml": "pipelines: {a: {concurrency: -1}}"})
    assert [str(problem) for problem in caught.value.problems] == [
        'p.yml:1:30: invalid pipeline definition "a": concurrency must be greater than 0',
        'sub/p.yml:2:3: pipeline "a" was already declared in p.yml',
    ]


def test_all_problems_of_all_files_come_at_once_and_sorted() -> None:
    files = {
        "b.yml": "pipelines: {p: {concurrency: x, env: 1, tasks: {t: {script: 1, depends_on: [u]}}}}",
        "a.yml": "pipelines: [",
        "c.yml": "pipelines: {fine: {}}",
    }
    with pytest.raises(InvalidDefinition) as caught:
        parse_definitions(files)
    problems = list(caught.value.problems)
    assert [problem.file for problem in problems] == ["a.yml", *["b.yml"] * 4]
    assert problems == sorted(problems)
    assert problems_json(reversed(problems)) == [
        {
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "key": problem.key,
            "message": problem.message,
            "hint": problem.hint,
        }
        for problem in problems
    ]


def test_one_problem_is_told_in_one_line_at_start() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_definitions({"pipelines.yml": "pipelines:\n  p: {concurency: 1}\n"})
    assert startup_text(caught.value) == (
        'loading definitions: loading pipelines.yml: invalid pipeline definition "p": unknown key "concurency"'
        ' (at 2:7; did you mean "concurrency"?)'
    )


def test_several_problems_are_told_in_a_line_each_at_start() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_definitions({"a.yml": "", "b.yml": "- x"})
    assert startup_text(caught.value) == (
        "loading definitions: 2 problems\n"
        'loading a.yml: decoding YAML: the file is empty (without pipelines, write "pipelines: {}")\n'
        "loading b.yml: decoding YAML: the file must be a map, not a list (at 1:1)"
    )


def test_thousands_of_problems_are_not_all_told_at_start() -> None:
    keys = "".join(f"k{n}: 1, " for n in range(3000))
    with pytest.raises(InvalidDefinition) as caught:
        parse_definitions({"a.yml": of_pipeline(keys)})
    told = startup_text(caught.value).splitlines()
    assert len(caught.value.problems) == 3000
    assert (told[0], len(told), told[-1]) == ("loading definitions: 3000 problems", 102, "and 2900 more")


def test_names_in_messages_are_cut_and_escaped() -> None:
    problem = only_problem(json.dumps({"pipelines": {"p\n" + "x" * 1000: {"tasks": {"t": 3}}}}))
    assert "\n" not in problem.message
    assert len(problem.message) < 250


def test_ten_thousand_tasks_are_fine() -> None:
    tasks = {f"t{n}": {"script": ["true"], "depends_on": [f"t{n - 1}"] if n else []} for n in range(10_000)}
    assert load(json.dumps({"pipelines": {"p": {"tasks": tasks}}})).tasks[-1].name == "t9999"


KEYS = st.sampled_from(
    ["pipelines", "tasks", "script", "depends_on", "env", "on_error", "timeout", "concurrency", "a", "b", "x-y", "<<"]
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["a", "b", "1s", "replace"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.dictionaries(KEYS, TREES, max_size=5), max_size=2))
def test_any_tree_is_definitions_or_invalid(pipelines) -> None:
    try:
        found = parse_definitions({"f.yml": json.dumps({"pipelines": pipelines})})
    except InvalidDefinition as exc:
        places = {(problem.line, problem.column >= 1) for problem in exc.problems}
    else:
        places = {(1, set(found.pipelines) == set(pipelines))}
    assert places == {(1, True)}


@given(st.text(alphabet="pipelnstaky{}[]:,-&*<~'\"\n 0", max_size=80))
def test_any_text_is_definitions_or_invalid(text: str) -> None:
    with suppress(InvalidDefinition):
        parse_definitions({"f.yml": text})


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["yes", "null", "~", "012", "1.10", "a: b", "# x", "- x", "{{ .x }}", "<<", " lead", "two\nlines"]
)
NAMES = TEXTS.filter(lambda text: 0 < len(text.encode()) <= 100 and text != "on_error")
ENVS = st.dictionaries(NAMES.filter(lambda name: "=" not in name), TEXTS, max_size=3)
SECONDS = st.integers(1, 10**6).map(lambda tenths: tenths / 10)
LIMITS = st.builds(
    Limits,
    st.none() | st.integers(2**20, 2**62),
    st.none() | st.integers(1, 10**6).map(lambda hundredths: hundredths / 100),
    st.none() | st.integers(1, 10**9),
)
ORPHANS = st.none() | st.sampled_from(Orphans)
LOG_LIMITS = st.none() | st.just(0) | st.integers(MIN_LOG_LIMIT, 2**62)
SECRETS = st.lists(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), unique=True, max_size=3).map(tuple)
SHELLS = st.none() | NAMES.filter(lambda text: text.strip())


@st.composite
def tasks(draw: st.DrawFn) -> tuple[TaskDef, ...]:
    names = draw(st.lists(NAMES, unique=True, max_size=5))
    needs = {
        name: tuple(draw(st.lists(st.sampled_from(names[:at]), unique=True, max_size=3)) if at else ())
        for at, name in enumerate(names)
    }
    return tuple(
        TaskDef(
            name,
            tuple(draw(st.lists(TEXTS, max_size=3))),
            needs[name],
            draw(st.booleans()),
            draw(ENVS),
            draw(SHELLS),
            draw(st.none() | SECONDS),
            draw(st.none() | SECONDS),
            draw(ORPHANS),
            draw(LIMITS),
            draw(st.none() | st.booleans()),
            draw(LOG_LIMITS),
            draw(SECRETS),
        )
        for name in order(needs)
    )


@st.composite
def pipelines(draw: st.DrawFn) -> PipelineDef:
    strategy = draw(st.sampled_from(QueueStrategy))
    partitioned = strategy is QueueStrategy.PARTITIONED_REPLACE
    drawn = PipelineDef(
        draw(NAMES),
        draw(tasks()),
        draw(st.integers(1, 9)),
        None if partitioned else draw(st.none() | st.integers(1, 9)),
        strategy,
        draw(st.integers(1, 9)) if partitioned else None,
        draw(st.just(0.0) | SECONDS),
        draw(st.booleans()),
        draw(st.just(0.0) | SECONDS),
        draw(st.integers(0, 9)),
        draw(ENVS),
        draw(st.none() | st.builds(TaskDef, st.just("on_error"), st.just(("true",)), env=ENVS, shell=SHELLS)),
        draw(SHELLS),
        draw(st.none() | SECONDS),
        draw(st.none() | SECONDS),
        "f.yml",
        draw(ORPHANS),
        draw(LIMITS),
        draw(st.none() | st.booleans()),
        draw(st.sampled_from(OnDaemonCrash)),
        draw(LOG_LIMITS),
        secrets=draw(SECRETS),
    )
    kept = Orphans.KEEP in (drawn.orphans, *(task.orphans for task in drawn.tasks))
    if kept or drawn.on_daemon_crash is OnDaemonCrash.ADOPT:  # no limit goes with that
        unlimited = tuple(attrs.evolve(task, log_limit=0, secrets=()) for task in drawn.tasks)
        return attrs.evolve(drawn, tasks=unlimited, log_limit=None, secrets=())
    return drawn


def time(seconds: float | None) -> str | None:
    return None if seconds is None else format_duration(seconds)


def task_tree(task: TaskDef) -> dict[str, object]:
    tree: dict[str, object] = {
        "script": list(task.script),
        "env": dict(task.env),
        "shell": task.shell,
        "timeout": time(task.timeout),
        "kill_timeout": time(task.kill_timeout),
        "orphans": task.orphans and task.orphans.value,
        "limits": attrs.asdict(task.limits),
        "limits_optional": task.limits_optional,
        "log_limit": "none" if task.log_limit == 0 else task.log_limit,
        "secrets": list(task.secrets),
    }
    if task.name != "on_error":
        tree |= {"depends_on": list(task.depends_on), "allow_failure": task.allow_failure}
    return tree


def tree(pipeline: PipelineDef) -> dict[str, object]:
    return {
        "tasks": {task.name: task_tree(task) for task in reversed(pipeline.tasks)},
        "concurrency": pipeline.concurrency,
        "queue_limit": pipeline.queue_limit,
        "queue_strategy": pipeline.queue_strategy.value,
        "queue_partition_limit": pipeline.queue_partition_limit,
        "start_delay": time(pipeline.start_delay),
        "continue_running_tasks_after_failure": pipeline.continue_running_tasks_after_failure,
        "retention_period": time(pipeline.retention_period),
        "retention_count": pipeline.retention_count,
        "env": dict(pipeline.env),
        "on_error": None if pipeline.on_error is None else task_tree(pipeline.on_error),
        "shell": pipeline.shell,
        "timeout": time(pipeline.timeout),
        "kill_timeout": time(pipeline.kill_timeout),
        "orphans": pipeline.orphans and pipeline.orphans.value,
        "limits": attrs.asdict(pipeline.limits),
        "limits_optional": pipeline.limits_optional,
        "log_limit": "none" if pipeline.log_limit == 0 else pipeline.log_limit,
        "on_daemon_crash": pipeline.on_daemon_crash.value,
        "secrets": list(pipeline.secrets),
    }


@given(pipelines(), st.booleans())
def test_a_pipeline_written_as_yaml_reads_back_the_same(pipeline: PipelineDef, flow: bool) -> None:
    text = yaml.safe_dump({"pipelines": {pipeline.name: tree(pipeline)}}, default_flow_style=flow)
    assert list(parse_definitions({"f.yml": text})) == [pipeline]


def problem_at_mark(text: str, keys: str) -> Problem:
    """Return the only problem of a pipeline, after a look whether it is where `▸` stands in its text."""
    place = text.index("▸")
    (problem,) = check_files({"f.yml": f"pipelines:\n  p: {text.replace('▸', '')}"})[1]
    assert (problem.line, problem.column, problem.key) == (2, 6 + place, f"pipelines.p.{keys}")
    return problem


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("{log_limit: ▸1Mi, orphans: keep, tasks: {t: , u: }}", "log_limit"),
        ("{log_limit: ▸1Mi, orphans: keep, on_error: {script: [x]}}", "log_limit"),
        ("{orphans: keep, tasks: {t: {log_limit: ▸1Mi}}}", "tasks.t.log_limit"),
        ("{log_limit: 1Mi, tasks: {t: {orphans: ▸keep}, u: }}", "tasks.t.orphans"),
        ("{log_limit: 1Mi, tasks: {t: {orphans: keep, log_limit: ▸2Mi}}}", "tasks.t.log_limit"),
        ("{log_limit: 1Mi, on_error: {script: [x], orphans: ▸keep}}", "on_error.orphans"),
        ("{orphans: keep, on_error: {script: [x], log_limit: ▸1Mi}}", "on_error.log_limit"),
    ],
)
def test_who_is_kept_cannot_have_a_limited_log(text: str, keys: str) -> None:
    problem = problem_at_mark(text, keys)
    assert "log_limit cannot go with orphans: keep" in problem.message
    assert problem.hint == "write log_limit: none, or orphans: wait"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("{secrets: ▸[A], orphans: keep, tasks: {t: , u: }}", "secrets"),
        ("{orphans: keep, tasks: {t: {secrets: ▸[A]}}}", "tasks.t.secrets"),
        ("{secrets: [A], tasks: {t: {orphans: ▸keep}, u: }}", "tasks.t.orphans"),
        ("{secrets: [A], tasks: {t: {orphans: ▸keep, log_limit: none}}}", "tasks.t.orphans"),
        ("{orphans: keep, on_error: {script: [x], secrets: ▸[A]}}", "on_error.secrets"),
        ("{on_daemon_crash: adopt, secrets: ▸[A], tasks: {t: }}", "secrets"),
        ("{on_daemon_crash: adopt, tasks: {t: {secrets: ▸[A]}}}", "tasks.t.secrets"),
    ],
)
def test_who_outlives_the_daemon_or_its_task_cannot_have_secrets(text: str, keys: str) -> None:
    problem = problem_at_mark(text, keys)
    adopted = "adopt" in text
    assert f"secrets cannot go with {'on_daemon_crash: adopt' if adopted else 'orphans: keep'}" in problem.message
    assert problem.hint == f"write {'on_daemon_crash: requeue' if adopted else 'orphans: wait'}"


def test_a_limit_and_secrets_are_two_problems_where_both_cannot_be() -> None:
    text = "{orphans: keep, secrets: [A], log_limit: 1Mi, tasks: {t: , u: }}"
    problems = check_files({"f.yml": f"pipelines:\n  p: {text}"})[1]
    assert [problem.key for problem in problems] == ["pipelines.p.log_limit", "pipelines.p.secrets"]


def test_what_may_be_the_secret_itself_is_not_repeated() -> None:
    (problem,) = check_files({"f.yml": "pipelines: {p: {secrets: [hunter2!]}}"})[1]
    assert "hunter2" not in problem.message + problem.hint


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{on_daemon_crash: adopt, log_limit: ▸1Mi, tasks: {t: }}", "log_limit"),
        ("{on_daemon_crash: adopt, tasks: {t: {log_limit: ▸1Mi}}}", "tasks.t.log_limit"),
    ],
)
def test_a_limit_of_logs_does_not_go_with_tasks_that_outlive_the_daemon(text: str, key: str) -> None:
    place = text.index("▸")
    (problem,) = check_files({"f.yml": f"pipelines:\n  p: {text.replace('▸', '')}"})[1]
    assert (problem.line, problem.column, problem.key) == (2, 6 + place, f"pipelines.p.{key}")
    assert "log_limit cannot go with on_daemon_crash: adopt" in problem.message
    assert problem.hint == "write log_limit: none"


@pytest.mark.parametrize(
    "text",
    [
        "{log_limit: 1Mi, orphans: keep}",
        "{log_limit: 1Mi, orphans: keep, tasks: {t: {orphans: kill}, u: {log_limit: none}}}",
        "{log_limit: none, orphans: keep, tasks: {t: {orphans: wait, log_limit: 4Ki}, u: }}",
        "{log_limit: 1Mi, on_error: {orphans: keep}}",
        "{secrets: [A], orphans: keep, tasks: {t: {orphans: wait}, u: {orphans: kill, secrets: [B]}}}",
        "{orphans: keep, tasks: {t: {orphans: wait, secrets: [A]}, u: {secrets: []}}}",
    ],
)
def test_a_limit_of_logs_is_fine_where_nobody_is_kept(text: str) -> None:
    assert check_files({"f.yml": f"pipelines: {{p: {text}}}"})[1] == []


def test_where_nothing_outlives_its_task_nothing_can_be_kept() -> None:
    text = """
pipelines:
  p:
    orphans: keep
    tasks:
      t:
        script: [x]
        orphans: wait
"""
    (problem,) = check_files({"f.yml": text}, no_keep="all end")[1]
    assert (problem.line, problem.key) == (4, "pipelines.p.orphans")
    assert problem.message == 'invalid pipeline definition "p": orphans: keep is not possible here: all end'
    assert check_files({"f.yml": text})[1] == []


LACKING = {"memory": "there is no cgroup", "processes": "there is no cgroup"}


def problems_on_a_machine_without(lacking: dict[str, str], text: str) -> list[tuple[int, str, str]]:
    problems = check_files({"f.yml": text}, lambda: lacking)[1]
    return [(problem.line, problem.key, problem.message) for problem in problems]


def test_limits_that_the_machine_cannot_enforce_are_refused_where_they_stand() -> None:
    text = """
pipelines:
  p:
    limits:
      cpu: 1
      memory: 64Mi
    tasks:
      t:
        limits:
          processes: 9
    on_error:
      script: [x]
      limits: {memory: 1Gi}
"""
    start = 'invalid pipeline definition "p": '
    why = "there is no cgroup"
    assert problems_on_a_machine_without(LACKING, text) == [
        (6, "pipelines.p.limits.memory", f'{start}this machine cannot enforce the limit "memory": {why}'),
        (
            10,
            "pipelines.p.tasks.t.limits.processes",
            f'{start}task "t": this machine cannot enforce the limit "processes": {why}',
        ),
        (
            13,
            "pipelines.p.on_error.limits.memory",
            f'{start}on_error: this machine cannot enforce the limit "memory": {why}',
        ),
    ]
    assert problems_on_a_machine_without({}, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "{limits: {memory: 64Mi}, limits_optional: true}",
        "{tasks: {t: {limits: {memory: 64Mi}, limits_optional: true}}}",
        "{limits_optional: true, tasks: {t: {limits: {memory: 64Mi}}}}",
        "{limits: {cpu: 1}}",
        "{limits: {memory: }}",
    ],
)
def test_limits_that_are_optional_or_can_be_enforced_are_fine(text: str) -> None:
    assert problems_on_a_machine_without(LACKING, f"pipelines: {{p: {text}}}") == []


def test_a_task_may_insist_on_limits_that_are_optional_in_its_pipeline() -> None:
    text = "{limits_optional: true, tasks: {t: {limits: {memory: 64Mi}, limits_optional: false}}}"
    assert len(problems_on_a_machine_without(LACKING, f"pipelines: {{p: {text}}}")) == 1
