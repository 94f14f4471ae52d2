"""The requests that prunner's own clients send, as they send them, and each field of the answers that they read.

`Page` is prunner-ui, the page in React, over one connection as a browser would hold it: it asks for the listing and for
the log of the chosen task again and again, starts, and cancels. `Php` is the package Flowpack.Prunner for Neos: it makes a
token that is good for a minute for each request, sends no `Content-Type`, and gives what it reads to constructors with
strict types, which end the request of a user if a field is missing or of another type.
"""
import http.client
import json
import re
import time
import urllib.parse

import pytest

import daemon as d
from daemon import pipelines

PIPELINES = pipelines(
    good={
        "concurrency": 50,
        "tasks": {
            "build it": {"script": ["echo 'out: grün'", "echo err >&2"]},
            "ship": {"script": ["echo shipped"], "depends_on": ["build it"]},
        },
    },
    bad={
        "concurrency": 50,
        "tasks": {"break": {"script": ["exit 3"]}, "never": {"script": ["echo no"], "depends_on": ["break"]}},
    },
    slow={"concurrency": 50, "tasks": {"wait": {"script": ["echo begun", "sleep 72.4"]}}},
    values={"concurrency": 50, "tasks": {"show": {"script": ["echo '{{ .releaseId }} {{ .a.n }}'"]}}},
    busy={"queue_limit": 0, "tasks": {"wait": {"script": ["sleep 72.5"]}}},
    line={
        "queue_strategy": "partitioned_replace",
        "queue_partition_limit": 1,
        "tasks": {"wait": {"script": ["sleep 72.6"]}},
    },
)

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})")
COLORS = {"waiting", "running", "done", "error", "canceled", "skipped"}


def exchange(connection, method, target, headers, body):
    """Sends a request with these headers and no others but those that its body needs."""
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    return d.Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


# ------------------------------------------------------------------------------------------------------- prunner-ui


class Page:
    """prunner-ui in a browser, with a token given to it or a cookie that the browser has."""

    def __init__(self, daemon, *, cookie=False, origin=None):
        self.host = f"127.0.0.1:{daemon.port}"
        self.origin = origin or f"http://{self.host}"
        self.connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        self.proof = {"Cookie": f"theme=dark; jwt={daemon.token}"} if cookie else {"Authorization": f"Bearer {daemon.token}"}

    def fetch(self, target, method="GET", body=None, **headers):
        sent = {
            "Host": self.host,
            "Connection": "keep-alive",
            **({"Content-Length": str(len(body or b""))} if method == "POST" else {}),
            "User-Agent": AGENT,
            **headers,
            **self.proof,
            "Accept": "*/*",
            **({"Origin": self.origin} if method == "POST" else {}),
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Dest": "empty",
            "Referer": f"{self.origin}/",
            "Accept-Encoding": "gzip, deflate, br, zstd",
            "Accept-Language": "de-DE,de;q=0.9,en;q=0.8",
        }
        answer = exchange(self.connection, method, target, sent, body)
        assert "content-encoding" not in answer.headers
        return answer

    def listing(self):
        """The poll; what the page draws of it is looked at."""
        answer = self.fetch("/pipelines/jobs")
        assert answer.status == 200, answer
        assert answer.type == "application/json"
        found = answer.json
        for pipeline in found["pipelines"]:
            assert type(pipeline["pipeline"]) is str
            assert type(pipeline["schedulable"]) is bool
        for job in found["jobs"]:
            self.check_job(job)
        return found

    @staticmethod
    def check_job(job):
        assert type(job["id"]) is str
        assert type(job["pipeline"]) is str
        assert [type(job[name]) for name in ("canceled", "errored", "completed")] == [bool] * 3
        assert TIME.fullmatch(job["created"])
        assert all(job[name] is None or TIME.fullmatch(job[name]) for name in ("start", "end"))
        if job["completed"] and not job["canceled"]:  # the page shows the time between the two
            assert job["start"]
            assert job["end"]
        names = [task["name"] for task in job["tasks"]]
        assert len(set(names)) == len(names), "the page draws tasks by name"
        for task in job["tasks"]:
            assert task["status"] in COLORS
            assert type(task["errored"]) is bool
            assert type(task["exitCode"]) is int
            assert set(task.get("dependsOn", [])) <= set(names), "an edge of the graph needs both of its ends"
        assert job.get("variables", {}) is not None

    def job(self, job_id):
        return next(job for job in self.listing()["jobs"] if job["id"] == job_id)

    def start(self, pipeline):
        body = json.dumps({"pipeline": pipeline}, separators=(",", ":"), ensure_ascii=False).encode()
        return self.fetch("/pipelines/schedule", "POST", body, **{"Content-Type": "application/json"})

    def logs(self, job_id, task):
        query = f"id={urllib.parse.quote(job_id, safe='')}&task={urllib.parse.quote(task, safe='')}"
        answer = self.fetch(f"/job/logs?{query}")
        if answer.status != 200:
            return answer
        assert [type(answer.json[name]) for name in ("stdout", "stderr")] == [str] * 2
        return answer.json

    def cancel(self, job_id):
        return self.fetch(f"/job/cancel?id={urllib.parse.quote(job_id, safe='')}", "POST")


def until(page, job_id, fits):
    return d.wait_for(lambda: next((job for job in [page.job(job_id)] if fits(job)), None), what="the job")


@pytest.fixture
def open_page(shared):
    """Opens pages; their connections are closed after the test."""
    opened = []

    def open_one(**keys):
        opened.append(Page(shared, **keys))
        return opened[-1]

    yield open_one
    for page in opened:
        page.connection.close()


@pytest.fixture(params=["token", "cookie"])
def page(request, open_page):
    return open_page(cookie=request.param == "cookie")


def test_page_starts_a_pipeline_and_shows_it_to_its_end(page):
    assert [p["pipeline"] for p in page.listing()["pipelines"]] == sorted(PIPELINES["pipelines"])
    answer = page.start("good")
    assert answer.status == 202
    job_id = answer.json["jobId"]
    assert page.listing()["jobs"][0]["id"] == job_id, "what was started is there with the next poll, and on top"
    job = until(page, job_id, lambda job: job["completed"])
    assert (job["errored"], job["canceled"], [t["status"] for t in job["tasks"]]) == (False, False, ["done", "done"])
    assert job["tasks"][1]["dependsOn"] == ["build it"]
    assert page.logs(job_id, "build it") == {"stdout": "out: grün\n", "stderr": "err\n"}


def test_page_shows_a_failure(page):
    job_id = page.start("bad").json["jobId"]
    job = until(page, job_id, lambda job: job["completed"])
    failed, never = job["tasks"]
    assert (job["errored"], failed["status"], failed["errored"], failed["exitCode"]) == (True, "error", True, 3)
    assert (never["status"] in ("waiting", "canceled"), never["errored"]) == (True, False)
    assert page.logs(job_id, "never") == {"stdout": "", "stderr": ""}, "shown as an empty output"


def test_page_cancels_what_runs_and_sees_it_with_a_later_poll(page):
    job_id = page.start("slow").json["jobId"]
    d.wait_for(lambda: page.logs(job_id, "wait")["stdout"] == "begun\n", what="output of a task that runs")
    job = page.job(job_id)
    assert job["start"] and not job["end"] and not job["canceled"], "so the page offers to cancel it"
    assert page.cancel(job_id).status == 200
    job = until(page, job_id, lambda job: job["canceled"])
    assert job["tasks"][0]["status"] in ("running", "canceled")


def test_page_is_told_what_cannot_be_started(page):
    first = page.start("busy")
    if first.status == 202:  # the other run of this test has left its job
        until(page, first.json["jobId"], lambda job: job["start"])
    assert not next(p for p in page.listing()["pipelines"] if p["pipeline"] == "busy")["schedulable"], "no button"
    assert page.start("busy").status == 400
    assert page.start("nope").status == 400


def test_page_shows_an_error_when_a_log_or_a_job_is_gone(page):
    job_id = page.start("good").json["jobId"]
    assert page.logs(job_id, "nope").status == 404
    assert page.logs("00000000-0000-4000-8000-000000000000", "ship").status == 404
    assert page.cancel("00000000-0000-4000-8000-000000000000").status == 404


def test_page_behind_a_web_server_that_has_another_name(open_page):
    page = open_page(cookie=True, origin="https://ci.example.org")
    job_id = page.start("slow").json["jobId"]
    until(page, job_id, lambda job: job["start"])
    assert page.cancel(job_id).status == 200


def test_page_without_a_token_shows_an_error(open_page):
    page = open_page()
    page.proof = {}
    assert page.fetch("/pipelines/jobs").status == 401
    assert page.start("good").status == 401


# --------------------------------------------------------------------------------------------------- Flowpack.Prunner


class Php:
    """Flowpack.Prunner's service, and its data objects."""

    def __init__(self, daemon, account="cli"):
        self.daemon = daemon
        self.account = account

    def call(self, method, subpath, body=None, *, lifetime=60):
        """One request on a connection of its own; `body` None: none, and no word of it."""
        claims = {"sub": self.account, "exp": int(time.time()) + lifetime}
        bearer = d.token(claims, secret=self.daemon.secret, header={"typ": "JWT", "alg": "HS256"})
        headers = {"Host": f"127.0.0.1:{self.daemon.port}", "User-Agent": "GuzzleHttp/7", "Authorization": f"Bearer {bearer}"}
        if body is not None:
            headers["Content-Length"] = str(len(body))
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=30)
        try:
            return exchange(connection, method, f"/{subpath}", headers, body)
        finally:
            connection.close()

    def pipelines_and_jobs(self):
        found = json.loads(self.call("GET", "pipelines/jobs").body)
        for pipeline in found["pipelines"]:
            strict(pipeline, pipeline=str, schedulable=bool, running=bool)
        for job in found["jobs"]:
            php_job(job)
        return found

    def detail(self, job_id):
        """A job, or None: the answer has a member `error`."""
        found = json.loads(self.call("GET", "job/detail?" + php_query(id=job_id)).body)
        return None if found.get("error") is not None else php_job(found)

    def logs(self, job_id, task):
        return strict(json.loads(self.call("GET", "job/logs?" + php_query(id=job_id, task=task)).body), stdout=str, stderr=str)

    def schedule(self, pipeline, variables, partition=None):
        body = {"pipeline": pipeline, "variables": as_objects(variables)}
        if partition is not None:
            body["queuePartition"] = partition
        text = json.dumps(body, separators=(",", ":")).replace("/", r"\/")  # as PHP writes it
        answer = self.call("POST", "pipelines/schedule", text.encode())
        assert answer.status == 202, answer
        return strict(json.loads(answer.body), jobId=str)["jobId"]

    def cancel(self, job_id):
        return self.call("POST", "job/cancel?" + php_query(id=job_id), b"").status


def php_query(**parameters):
    """http_build_query: a blank becomes a plus."""
    return urllib.parse.urlencode(parameters)


def as_objects(value):
    """JSON_FORCE_OBJECT: lists, the empty one too, become objects."""
    if isinstance(value, dict):
        return {key: as_objects(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return {str(key): as_objects(inner) for key, inner in enumerate(value)}
    return value


def strict(found, **types):
    """What a constructor with types takes: each there, and of exactly that type."""
    assert {name: type(found[name]) for name in types} == types
    return found


def php_job(found):
    strict(found, id=str, pipeline=str, tasks=list, completed=bool, canceled=bool, errored=bool, created=str, user=str)
    assert type(found.get("lastError") or "") is str
    assert type(found.get("variables") or {}) is dict
    times = [found["created"], found["start"], found["end"]]
    for task in found["tasks"]:
        strict(task, name=str, status=str, skipped=bool, exitCode=int, errored=bool)
        assert type(task.get("error") or "") is str
        assert task["status"] in COLORS
        times += [task["start"], task["end"]]
    assert all(moment is None or TIME.fullmatch(moment) for moment in times), "the format has no parts of seconds"
    return found


@pytest.fixture
def php(shared):
    return Php(shared, "jane@example.org")


def done(php, job_id):
    return d.wait_for(lambda: (job := php.detail(job_id)) and job["completed"] and job, what="the end of the job")


def test_php_starts_a_pipeline_with_variables_and_follows_it(php):
    variables = {"releaseId": "2026-01-02/ä", "a": {"n": 5}, "list": ["x", "y"], "empty": []}
    job_id = php.schedule("values", variables)
    job = done(php, job_id)
    assert (job["pipeline"], job["user"], job["errored"]) == ("values", "jane@example.org", False)
    assert job["variables"] == {"releaseId": "2026-01-02/ä", "a": {"n": 5}, "list": {"0": "x", "1": "y"}, "empty": {}}
    assert [(task["name"], task["status"]) for task in job["tasks"]] == [("show", "done")]
    assert php.logs(job_id, "show") == {"stdout": "2026-01-02/ä 5\n", "stderr": ""}
    assert job_id in [job["id"] for job in php.pipelines_and_jobs()["jobs"]]


def test_php_starts_a_pipeline_without_variables(php):
    job = done(php, php.schedule("good", []))
    assert not job.get("variables"), "left out, or empty"
    assert [task["status"] for task in job["tasks"]] == ["done", "done"]
    assert php.logs(job["id"], "build it") == {"stdout": "out: grün\n", "stderr": "err\n"}


def test_php_reads_a_failure(php):
    job = done(php, php.schedule("bad", {}))
    assert (job["errored"], job["lastError"]) == (True, "exit status 3")
    assert (job["tasks"][0]["error"], job["tasks"][0]["exitCode"]) == ("exit status 3", 3)


def test_php_finds_what_runs_among_the_jobs_of_a_pipeline_and_cancels_it(php):
    job_id = php.schedule("slow", {})
    running = d.wait_for(
        lambda: [j for j in php.pipelines_and_jobs()["jobs"] if j["pipeline"] == "slow" and j["start"] and not j["end"]],
        what="a running job",
    )
    assert job_id in [job["id"] for job in running]
    for job in running:
        assert php.cancel(job["id"]) == 200
    job = d.wait_for(lambda: (job := php.detail(job_id))["end"] and job, what="the end of what was canceled")
    assert (job["canceled"], job["completed"]) == (True, True)
    assert php.cancel(job_id) == 200, "again"


def test_php_names_a_partition(php):
    first, second = php.schedule("line", {}, "site one"), php.schedule("line", {}, "site one")
    third, other = php.schedule("line", {}, "site one"), php.schedule("line", {}, "site/two")
    assert d.wait_for(lambda: php.detail(second)["canceled"], what="the one that was replaced")
    assert not any(php.detail(job_id)["canceled"] for job_id in (first, third, other))
    for job_id in (third, other, first):
        assert php.cancel(job_id) == 200


def test_php_takes_a_job_that_is_not_there_for_none(php):
    for job_id in ("00000000-0000-4000-8000-000000000000", "no-uuid", ""):
        assert php.detail(job_id) is None


def test_php_is_told_by_the_status_what_cannot_be_done(php):
    answer = php.call("POST", "pipelines/schedule", b'{"pipeline":"nope","variables":{}}')
    assert (answer.status, type(json.loads(answer.body)["error"])) == (400, str)
    assert php.cancel("00000000-0000-4000-8000-000000000000") == 404


def test_php_with_a_token_whose_minute_is_over(php):
    answer = php.call("GET", "pipelines/jobs", lifetime=-1)
    assert answer.status == 401
    with pytest.raises(ValueError):
        json.loads(answer.body)  # so the package says that it could not decode the answer


def test_proxy_of_the_package_passes_on_what_the_page_asks(php):
    """In Neos the page asks the package, which sends path, query and body on with a token and no other header."""
    answer = php.call("POST", "pipelines/schedule", b'{"pipeline":"good"}')
    job_id = json.loads(answer.body)["jobId"]
    done(php, job_id)
    logs = php.call("GET", f"job/logs?id={job_id}&task=build%20it", b"")
    assert (logs.status, json.loads(logs.body)["stdout"]) == (200, "out: grün\n")
    assert php.call("GET", "pipelines/jobs", b"").status == 200
    assert php.call("POST", f"job/cancel?id={job_id}", b"").status in (200, 500), "500: it is over (Q1)"
