"""What this project promises on top of prunner. The Go daemon is expected to fail nearly all of these."""
import signal
import threading
import time

import pytest

from daemon import PATIENCE, pipelines, script, stays, task_of, wait_for

pytestmark = pytest.mark.beyond_prunner

HOLD = "while [ ! -e {{.n}}.go ]; do sleep 0.02; done"

PIPELINES = pipelines(
    ok=script("echo fine", concurrency=20),
    bad=script("exit 3", concurrency=20),
    two={"concurrency": 9, "tasks": {"a": {"script": ["true"]},
                                     "b": {"script": ["sleep 81.1"], "depends_on": ["a"]}}},
    setsid=script("setsid sleep 81.2 & sleep 81.2", concurrency=9),
    double=script("sh -c '(setsid sh -c \"sleep 81.3\" >/dev/null 2>&1 &) ; sleep 81.3'", concurrency=9),
    nohup=script("nohup setsid sh -c 'sleep 81.4; sleep 81.4' >/dev/null 2>&1 &", "sleep 81.4", concurrency=9),
    stubborn=script("sh -c 'trap \"\" INT; sleep 81.5' & sleep 81.5", concurrency=9),
    queue=script(HOLD),
    limit1=script(HOLD, queue_limit=1),
    limit0=script(HOLD, queue_limit=0),
    replace=script(HOLD, queue_strategy="replace"),
    echo=script("printf '%s' '{{.x}}'", concurrency=9),
    empty={},
)


# --------------------------------------------------------------------------------------------- crashes

@pytest.mark.parametrize("count", [1, 20])
def test_accepted_jobs_survive_a_crash(new, count):
    d = new(PIPELINES).start()
    jobs = [d.schedule("queue", {"n": "x"}) for _ in range(count)]
    d.crash()
    d.start()
    for job in jobs:
        assert d.known(job)
    d.write("x.go", "")
    for job in jobs:
        wait_for(lambda j=job: (lambda s: s["completed"] or s["canceled"])(d.detail(j)), 20, "job to end or be canceled")


def test_variables_of_an_accepted_job_survive_a_crash(new):
    d = new(PIPELINES).start()
    job = d.schedule("queue", {"n": "x", "deep": [1, {"a": "✓"}]}, user="jane")
    d.crash()
    d.start()
    after = d.detail(job)
    assert (after["pipeline"], after["user"]) == ("queue", "jane")
    assert after["variables"] == {"n": "x", "deep": [1, {"a": "✓"}]}


@pytest.mark.parametrize("name", ["ok", "bad"])
def test_completed_jobs_stay_completed_after_a_crash(new, name):
    d = new(PIPELINES).start()
    d.run("ok")
    jobs = [d.run(name) for _ in range(3)]
    d.crash()
    d.start()
    for job in jobs:
        after = d.detail(job["id"])
        assert after["completed"] and not after["canceled"]
        assert after["errored"] == job["errored"]
        assert [t["status"] for t in after["tasks"]] == [t["status"] for t in job["tasks"]]


def test_canceled_jobs_stay_canceled_after_a_crash(new):
    d = new(PIPELINES).start()
    a, b = d.schedule("queue", {"n": "x"}), d.schedule("queue", {"n": "x"})
    d.run("ok")
    assert d.cancel(b).status == 200
    d.crash()
    d.write("x.go", "")
    d.start()
    assert d.known(a)
    assert d.detail(b)["canceled"] and d.detail(b).get("start") is None


# ------------------------------------------------------------------------------------------- processes

@pytest.fixture(scope="module")
def live(shared):
    return shared


@pytest.mark.parametrize("pipeline,mark", [("setsid", "81.2"), ("double", "81.3"), ("nohup", "81.4")])
def test_cancel_reaches_processes_that_left_the_group(live, pipeline, mark):
    job = live.schedule(pipeline)
    wait_for(lambda: len(live.processes("sleep " + mark)) >= 2, 10, "processes to appear")
    live.cancel(job)
    live.wait_job(job)
    wait_for(lambda: not live.processes(mark), 4, "processes to be gone")


def test_background_child_that_ignores_interrupts_is_gone_soon(live):
    job = live.schedule("stubborn")
    wait_for(lambda: len(live.processes("81.5")) >= 2, 10, "processes to appear")
    t = time.monotonic()
    live.cancel(job)
    live.wait_job(job)
    wait_for(lambda: not live.processes("81.5"), 4, "processes to be gone")
    assert time.monotonic() - t < 5 * PATIENCE


def test_terminate_reaches_processes_that_left_the_group(new):
    d = new(PIPELINES).start()
    d.schedule("setsid")
    wait_for(lambda: len(d.processes("sleep 81.2")) >= 2, 10, "processes to appear")
    assert d.stop(signal.SIGTERM) == 0
    wait_for(lambda: not d.processes("81.2"), 4, "processes to be gone")


# ---------------------------------------------------------------------------------------------- cancel

def test_job_canceled_between_tasks_is_reported_canceled(live):
    for _ in range(5):
        job = live.schedule("two")
        assert live.cancel(job).status == 200
        after = live.wait_job(job)
        assert after["canceled"], after


def test_canceled_waiting_job_frees_its_slot(live):
    a, b = live.schedule("limit1", {"n": "lim"}), live.schedule("limit1", {"n": "lim"})
    assert live.try_schedule("limit1", {"n": "lim"}).status == 400
    live.cancel(b)
    c = live.try_schedule("limit1", {"n": "lim"})
    assert c.status == 202
    live.write("lim.go", "")
    assert live.wait_job(c.json["jobId"])["completed"]
    assert live.wait_job(a)["completed"]


def test_schedulable_after_canceling_a_waiting_job(new):
    d = new(PIPELINES).start()
    d.schedule("limit1", {"n": "y"})
    b = d.schedule("limit1", {"n": "y"})
    assert not d.pipelines()["limit1"]["schedulable"]
    d.cancel(b)
    assert d.pipelines()["limit1"]["schedulable"]


# ----------------------------------------------------------------------------------------------- queue

def test_queue_limit_zero_starts_a_job_when_nothing_runs(live):
    assert live.pipelines()["limit0"]["schedulable"]
    job = live.schedule("limit0", {"n": "zero"})
    live.wait_started(job)
    assert live.try_schedule("limit0", {"n": "zero"}).status == 400
    live.write("zero.go", "")
    assert live.wait_job(job)["completed"]
    assert live.run("limit0", {"n": "zero"})["completed"]


def test_replace_without_queue_limit(live):
    jobs = [live.schedule("replace", {"n": "rep"}) for _ in range(3)]
    assert live.get("/pipelines/").status == 200
    live.write("rep.go", "")
    assert live.wait_job(jobs[0])["completed"]
    assert live.wait_job(jobs[-1])["completed"]


# ---------------------------------------------------------------------------------------------- values

@pytest.mark.parametrize("value", ["{{.y}}", "{{ broken", "{{", "{{if}}", "a }} b", '{{printf "x"}}'])
def test_values_are_no_templates(live, value):
    job = live.run("echo", {"x": value, "y": "evaluated"})
    assert live.out(job["id"]) == value
    assert not job["errored"]


@pytest.mark.parametrize("number", [12345678, 123456789012, 21000000, 9007199254740993, -98765432])
def test_integers_keep_their_digits(live, number):
    job = live.run("echo", {"x": number})
    assert live.out(job["id"]) == str(number)
    assert job["variables"] == {"x": number}


# ------------------------------------------------------------------------------------------------ JSON

def test_exit_code_of_success_is_zero(live):
    assert task_of(live.run("ok"), "t")["exitCode"] == 0


def test_failed_task_has_an_end(live):
    t = task_of(live.run("bad"), "t")
    assert t["end"] and t["end"] >= t["start"]


def test_tasks_are_never_null(live):
    job = live.run("empty")
    assert job["tasks"] == []
    assert [j for j in live.jobs() if j["id"] == job["id"]][0]["tasks"] == []


# ----------------------------------------------------------------------------------------- definitions

UNKNOWN = {
    "task key": ("pipelines:\n  a:\n    tasks:\n      t:\n        scripts:\n          - echo\n", 5, "scripts", "script"),
    "pipeline key": ("pipelines:\n  a:\n    concurency: 2\n    tasks: {}\n", 3, "concurency", "concurrency"),
    "depends": ("pipelines:\n  a:\n    tasks:\n      t:\n        script: [x]\n        depend_on: []\n", 6,
                "depend_on", "depends_on"),
    "on_error key": ("pipelines:\n  a:\n    tasks: {}\n    on_error:\n      scrip: [x]\n", 5, "scrip", "script"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_keys_are_errors(new, name):
    text, line, wrong, right = UNKNOWN[name]
    d = new(text)
    said = d.expect_failure(5)
    assert "pipelines.yml" in said and wrong in said
    assert "did you mean" in said.lower() and right in said
    assert str(line) in said


# -------------------------------------------------------------------------------------------- reloading

def reload(d, definitions, name):
    d.write("pipelines.yml", definitions)
    d.send(signal.SIGUSR1)
    wait_for(lambda: name in d.pipelines(), 10, "new definitions")


def test_running_job_of_a_removed_pipeline_stays(new):
    d = new(pipelines(a=script(HOLD, "echo end"))).start()
    job = d.schedule("a", {"n": "x"})
    d.wait_started(job)
    reload(d, pipelines(b=script("true")), "b")
    d.run("b")
    stays(lambda: d.known(job), 4.5, "running job is known", every=0.3)
    d.write("x.go", "")
    d.wait_log(job, "end\n")


def test_waiting_job_of_a_removed_pipeline_still_runs(new):
    d = new(pipelines(a=script(HOLD, "touch {{.n}}.ran"))).start()
    one, two = d.schedule("a", {"n": "x"}), d.schedule("a", {"n": "y"})
    d.wait_started(one)
    reload(d, pipelines(b=script("true")), "b")
    d.write("x.go", ""), d.write("y.go", "")
    d.wait_file("y.ran", 10)


def test_running_job_keeps_its_on_error(new):
    d = new(pipelines(a=script(HOLD, "exit 1", on_error={"script": ["touch old.handler"]}))).start()
    job = d.schedule("a", {"n": "x"})
    d.wait_started(job)
    reload(d, pipelines(a=script("true", on_error={"script": ["touch new.handler"]}), b=script("true")), "b")
    d.write("x.go", "")
    d.wait_job(job)
    assert (d.folder / "old.handler").exists() and not (d.folder / "new.handler").exists()


def test_changed_on_error_alone_is_a_change(new):
    d = new(pipelines(a=script("exit 1", on_error={"script": ["echo old"]}))).start()
    d.write("pipelines.yml", pipelines(a=script("exit 1", on_error={"script": ["echo new"]})))
    d.send(signal.SIGUSR1)
    wait_for(lambda: d.out(d.run("a")["id"], "on_error") == "new\n", 8, "the new handler")


def test_reload_while_draining_does_no_harm(new):
    d = new(PIPELINES).start()
    job = d.schedule("queue", {"n": "x"})
    d.wait_started(job)
    d.send(signal.SIGINT)
    wait_for(lambda: d.try_schedule("ok").status == 503, 5, "a 503")
    time.sleep(0.2)
    d.send(signal.SIGUSR1)
    time.sleep(0.5)
    assert d.alive
    d.write("x.go", "")
    assert d.wait_exit() == 0


# -------------------------------------------------------------------------------------------- retention

def test_listing_while_jobs_are_removed(new):
    d = new(pipelines(a=script("true", concurrency=50, retention_count=1))).start()
    problems, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            try:
                if d.get("/pipelines/jobs").status != 200:
                    problems.append("status")
            except Exception as e:
                problems.append(e)
                return

    threads = [threading.Thread(target=look) for _ in range(3)]
    for t in threads:
        t.start()
    end = time.monotonic() + 7
    while time.monotonic() < end and not problems:
        for _ in range(10):
            d.try_schedule("a")
        time.sleep(0.05)
    stop.set()
    for t in threads:
        t.join()
    assert not problems
    assert d.alive
