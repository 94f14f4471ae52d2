"""Definition files: where they are looked for, what is in them, what stops the start."""
import pytest

from daemon import pipelines, script

OK = pipelines(a=script("echo a"))

# name: (files, arguments, names of pipelines)
FOUND = {
    "yml": ({"pipelines.yml": OK}, [], ["a"]),
    "below": ({"x/y/z/pipelines.yml": OK}, [], ["a"]),
    "both endings": ({"pipelines.yml": OK, "pipelines.yaml": pipelines(b=script("true"))}, [], ["a", "b"]),
    "path": ({"defs/pipelines.yml": OK, "pipelines.yml": pipelines(b=script("true"))}, ["--path", "defs"], ["a"]),
    "pattern with a star": ({"jobs/one.yml": OK, "jobs/two.yml": pipelines(b=script("true")), "other.yml": "x: ["},
                            ["--pattern", "jobs/*.yml"], ["a", "b"]),
    "pattern with braces": ({"one.yml": OK, "two.yml": pipelines(b=script("true")), "three.yml": "["},
                            ["--pattern", "{one,two}.yml"], ["a", "b"]),
    "no file": ({}, [], []),
}


@pytest.mark.parametrize("name", FOUND)
def test_found_files(new, name):
    files, args, expected = FOUND[name]
    assert sorted(new(None, files=files, args=args).start().pipelines()) == expected


TEXTS = {
    "yaml with comments": "# c\npipelines:\n  a: # x\n    tasks:\n      t:\n        script:\n          - echo hi # c\n",
    "folded": "pipelines:\n  a:\n    tasks:\n      t:\n        script:\n          - >-\n            echo\n            hi\n",
    "flow": "{pipelines: {a: {tasks: {t: {script: ['echo hi']}}}}}\n",
    "no newline at the end": "pipelines: {a: {tasks: {t: {script: [echo hi]}}}}",
    "null keys": "pipelines:\n  a:\n    env:\n    queue_limit:\n    tasks: {t: {script: [echo hi], depends_on: , env: }}\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_ways_to_write_yaml(new, name):
    d = new(TEXTS[name]).start()
    assert d.out(d.run("a")["id"]) == "hi\n"


ALLOWED = {
    "all keys": script("echo hi", concurrency=2, queue_limit=3, queue_strategy="append", start_delay="1ms",
                       continue_running_tasks_after_failure=True, retention_period="48h", retention_count=5,
                       env={"A": "b"}, on_error={"script": ["true"], "env": {"C": "d"}},
                       task={"depends_on": [], "allow_failure": True, "env": {"E": "f"}}),
    "partitioned": script("echo hi", queue_strategy="partitioned_replace", queue_partition_limit=1),
    "long period": script("echo hi", retention_period="1h30m"),
    "empty on_error": script("echo hi", on_error={}),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(new, name):
    d = new(pipelines(p=ALLOWED[name])).start()
    assert d.out(d.run("p")["id"]) == "hi\n"


# name: (pipeline, words that the message has)
REFUSED = {
    "unknown dependency": (
        script("true", task={"depends_on": ["ghost"]}), ["ghost", "depends_on", '"t"', '"p"']),
    "negative queue_limit": (script("true", queue_limit=-1), ["queue_limit must not be negative"]),
    "delay without a queue": (script("true", start_delay="1s", queue_limit=0), ["start_delay needs queue_limit > 0"]),
    "strategy in capitals": (script("true", queue_strategy="Append"), ['unknown queue strategy: "Append"']),
    "partitioned with limit zero": (
        script("true", queue_strategy="partitioned_replace", queue_partition_limit=0),
        ["queue_partition_limit must be defined and >=1"]),
    "append with partition limit": (
        script("true", queue_partition_limit=1), ["queue_partition_limit is not allowed"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(new, name):
    definition, words = REFUSED[name]
    said = new(pipelines(p=definition, fine=script("true"))).expect_failure()
    for word in words + ["pipelines.yml"]:
        assert word in said, said


WRONG = {
    "no yaml": "pipelines: [",
    "empty file": "",
    "comments only": "# nothing\n",
    "a list": "- a\n- b\n",
    "tasks is a list": "pipelines: {a: {tasks: [x]}}\n",
    "concurrency is a word": "pipelines: {a: {concurrency: many, tasks: {}}}\n",
    "allow_failure is a word": "pipelines: {a: {tasks: {t: {script: [a], allow_failure: maybe}}}}\n",
    "script is a string": "pipelines: {a: {tasks: {t: {script: echo hi}}}}\n",
}
QUIRKS = {"empty file", "comments only"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.quirk) if n in QUIRKS else n for n in WRONG])
def test_wrong_files(new, name):
    said = new(WRONG[name]).expect_failure()
    assert "pipelines.yml" in said
    assert "loading" in said.lower() or "yaml" in said.lower()


def test_same_name_in_two_files(new):
    said = new(OK, files={"sub/pipelines.yml": OK}).expect_failure()
    for word in ('"a"', "pipelines.yml", "sub/pipelines.yml", "already declared"):
        assert word in said


def test_one_wrong_file_stops_the_start(new):
    said = new(OK, files={"sub/pipelines.yml": "pipelines: ["}).expect_failure()
    assert "sub/pipelines.yml" in said


@pytest.mark.quirk
def test_missing_directory_stops_the_start(new):
    assert "not-there" in new(OK, args=["--path", "not-there"]).expect_failure()


@pytest.mark.quirk
def test_full_text_of_a_refusal(new):
    said = new(pipelines(p=script("true", task={"depends_on": ["ghost"]}))).expect_failure()
    assert ('Error: loading definitions: loading pipelines.yml: invalid pipeline definition "p": '
            'missing task "ghost" referenced in depends_on of task "t"') in said


@pytest.mark.quirk
@pytest.mark.parametrize("text", [
    "x-common: 1\npipelines: {a: {tasks: {t: {script: [echo hi]}}}}\n",
    "pipelines: {a: {retries: 3, tasks: {t: {scripts: [x], script: [echo hi]}}}}\nother: 1\n",
], ids=["keys for notes", "unknown keys"])
def test_lenient_files(new, text):
    d = new(text).start()
    assert d.out(d.run("a")["id"]) == "hi\n"


def test_number_of_pipelines_is_logged(new):
    d = new(pipelines(a=script("true"), b=script("true"), c=script("true"))).start()
    assert "3" in d.stderr() and "pipeline" in d.stderr()
