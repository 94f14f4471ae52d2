"""Drives one prunner-compatible daemon as a black box: command line, files, signals and HTTP, nothing else.

Only the Python standard library is used. Each daemon lives in a directory of its own, listens on a free port
of 127.0.0.1, and carries a random mark in its environment. Every process a job starts inherits that mark, so
whatever is left over can be found in /proc and ended, even after setsid or a double fork.
"""
import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import uuid

SECRET = "conformance-secret-0123456789"
MARK = "CONFORMANCE_MARK"
SESSION_MARK = "conformance-" + uuid.uuid4().hex
PATIENCE = float(os.environ.get("CONFORMANCE_PATIENCE", "1"))
GRACE = float(os.environ.get("CONFORMANCE_GRACE", "0.3"))
INSTALLED = pathlib.Path(sys.executable).with_name("prunner-trio")
NOT_SET = (
    f"PRUNNER_CMD is not set, and prunner-trio is not installed beside {sys.executable}. Give the command that starts "
    'the daemon under test, for example PRUNNER_CMD=".venv/bin/prunner-trio"'
)


def command():
    """The command under test as a list; its first word is made absolute, for daemons start in other folders."""
    words = shlex.split(os.environ.get("PRUNNER_CMD", ""))
    if not words:
        if not INSTALLED.exists():
            raise RuntimeError(NOT_SET)
        return [str(INSTALLED)]
    program = words[0]
    if os.sep in program:
        words[0] = os.path.abspath(program)
        if not os.path.exists(words[0]):
            raise RuntimeError("PRUNNER_CMD names a program that does not exist: " + words[0])
    elif shutil.which(program) is None:
        raise RuntimeError("PRUNNER_CMD names a program that is not on PATH: " + program)
    return words


# ------------------------------------------------------------------------------------------------- waiting

def wait_for(check, timeout=15.0, what="condition", every=0.04):
    """Polls `check` until it returns something true, and returns that; fails loudly at the deadline."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout * PATIENCE:.1f} s in vain for: {what} (last: {value!r})")
        time.sleep(every)


def stays(check, seconds, what="condition", every=0.05):
    """Asserts that `check` holds all through the given time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert check(), f"did not stay so for {seconds} s: {what}"
        time.sleep(every)


# -------------------------------------------------------------------------------------------------- tokens

def b64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def token(claims=None, secret=SECRET, alg="HS256", header=None):
    """A JWT made by hand, so that odd ones can be made as well."""
    head = {"alg": alg, "typ": "JWT"} if header is None else header
    body = {"sub": "tester"} if claims is None else claims
    signed = b64url(json.dumps(head).encode()) + "." + b64url(json.dumps(body).encode())
    digest = HASHES.get(alg)
    mac = hmac.new(secret.encode(), signed.encode(), digest).digest() if digest else b""
    return signed + "." + b64url(mac)


# --------------------------------------------------------------------------------------------------- files

def write(folder, name, content):
    target = pathlib.Path(folder) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = as_yaml(content)
    if isinstance(content, str):
        content = content.encode()
    target.write_bytes(content)
    return target


def as_yaml(definitions):
    """Definitions as text: JSON is YAML, and needs no extra package here."""
    return json.dumps(definitions, ensure_ascii=False, indent=1) + "\n"


def pipelines(**named):
    return {"pipelines": named}


def script(*lines, **keys):
    """A pipeline with one task `t`; keys are further keys of the pipeline, those of `task` go to the task."""
    task = {"script": list(lines)}
    task.update(keys.pop("task", {}))
    return {"tasks": {"t": task}, **keys}


# ----------------------------------------------------------------------------------------------- processes

def marked(mark, without=()):
    """(pid, command line) of all living processes that carry the mark in their environment."""
    found = []
    needle = f"{MARK}={mark}".encode()
    session = f"CONFORMANCE_SESSION={mark}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in without:
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as f:
                env = f.read().split(b"\0")
            if needle not in env and session not in env:
                continue
            with open(f"/proc/{entry}/cmdline", "rb") as f:
                line = f.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        found.append((int(entry), line))
    return found


def kill_marked(mark, rounds=40):
    for _ in range(rounds):
        left = marked(mark, without=(os.getpid(),))
        if not left:
            return
        for pid, _line in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.03)


def clean_env(extra=None, mark=None):
    env = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("PRUNNER_", "CONFORMANCE_", "PYTEST_")) and k != "MINIMAL_OUTPUT"
    }
    env["CONFORMANCE_SESSION"] = SESSION_MARK
    if mark:
        env[MARK] = mark
    for key, value in (extra or {}).items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = value
    return env


def free_port():
    """A port below those that the kernel gives to clients, so that nobody takes it before the daemon has it."""
    while True:
        port = random.randrange(10240, 32768)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Answer:
    """One HTTP answer."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]

    @property
    def type(self):
        return (self.headers.get("content-type") or "").split(";")[0].strip()

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class StartFailed(AssertionError):
    pass


class Daemon:
    def __init__(self, folder, definitions=None, args=(), env=None, files=None, secret=SECRET, address=True):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.args = list(args)
        self.extra_env = dict(env or {})
        self.secret = secret
        self.pass_address = address
        self.mark = uuid.uuid4().hex
        self.process = None
        self.port = None
        self.token = token(secret=secret) if secret else None
        self.starts = 0
        if definitions is not None:
            self.write("pipelines.yml", definitions)
        for name, content in (files or {}).items():
            self.write(name, content)

    # ------------------------------------------------------------------------------ life of the process

    def write(self, name, content):
        return write(self.folder, name, content)

    def read(self, name):
        return (self.folder / name).read_text()

    def spawn(self):
        """Starts the process and returns at once."""
        assert self.process is None or self.process.poll() is not None, "this daemon already runs"
        self.port = free_port()
        words = command()
        if self.pass_address:
            form = "127.0.0.1:{port}" if self.pass_address is True else self.pass_address
            words += ["--address", form.format(port=self.port)]
        if self.secret:
            words += ["--jwt-secret", self.secret]
        words += self.args
        self.starts += 1
        self.out_path = self.folder / f".conformance-stdout-{self.starts}"
        self.err_path = self.folder / f".conformance-stderr-{self.starts}"
        env = clean_env(self.extra_env, self.mark)
        if not self.pass_address:
            env["PRUNNER_ADDRESS"] = f"127.0.0.1:{self.port}"
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(
                words, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                start_new_session=True,
            )
        return self

    def start(self, timeout=20.0):
        """Starts the process and waits until it answers HTTP."""
        for attempt in range(3):
            self.spawn()
            deadline = time.monotonic() + timeout * PATIENCE
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    break
                try:
                    self.request("GET", "/pipelines/", timeout=5)
                    return self
                except OSError:
                    time.sleep(0.02)
                except http.client.HTTPException:
                    time.sleep(0.02)
            if self.process.poll() is None:
                raise StartFailed("the daemon did not answer in time; stderr:\n" + self.stderr()[-3000:])
            if "in use" in self.stderr() and attempt < 2:
                continue
            break
        raise StartFailed(f"the daemon ended with {self.process.returncode}; stderr:\n" + self.stderr()[-3000:])

    def expect_failure(self, timeout=15.0):
        """Starts a daemon that must refuse to start; returns its stderr with log quoting undone."""
        self.spawn()
        try:
            code = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError("the daemon started although it should have refused") from None
        assert code != 0, "the daemon ended with status 0 although it should have failed"
        assert code > 0, f"the daemon died of signal {-code}"
        return unquoted(self.stderr())

    def send(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=20.0):
        try:
            return self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon was still there after {timeout * PATIENCE:.0f} s") from None

    def stop(self, number=signal.SIGTERM, timeout=20.0):
        self.send(number)
        return self.wait_exit(timeout)

    def crash(self):
        """kill -9, as a power cut would do it; children of the daemon stay behind until close()."""
        self.process.kill()
        self.process.wait()

    def restart(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.stop(number)
        return self.start()

    @property
    def alive(self):
        return self.process.poll() is None

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        kill_marked(self.mark)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.close()

    def stderr(self):
        return self.err_path.read_text(errors="replace")

    def stdout(self):
        return self.out_path.read_text(errors="replace")

    def processes(self, part=""):
        """Processes started below this daemon whose command line contains `part`."""
        return [(p, c) for p, c in marked(self.mark, without=(self.process.pid,)) if part in c]

    # ------------------------------------------------------------------------------------------- HTTP

    def request(self, method, path, body=None, headers=None, auth="default", timeout=30.0):
        head = dict(headers or {})
        bearer = self.token if auth == "default" else auth
        if bearer is not None:
            head.setdefault("Authorization", "Bearer " + bearer)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE)
        try:
            connection.request(method, path, body=body, headers=head)
            response = connection.getresponse()
            data = response.read()
            names = {k.lower(): v for k, v in response.getheaders()}
            return Answer(response.status, names, data)
        finally:
            connection.close()

    def get(self, path, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self.request("GET", path)

    def post(self, path, body=None, headers=None, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self.request("POST", path, body=body, headers=headers)

    # ------------------------------------------------------------------------------------------ calls

    def try_schedule(self, pipeline, variables=None, partition=None, user=None):
        body = {"pipeline": pipeline}
        if variables is not None:
            body["variables"] = variables
        if partition is not None:
            body["queuePartition"] = partition
        auth = "default" if user is None else token({"sub": user}, secret=self.secret)
        return self.request("POST", "/pipelines/schedule", body=body, auth=auth)

    def schedule(self, pipeline, variables=None, partition=None, user=None):
        answer = self.try_schedule(pipeline, variables, partition, user)
        assert answer.status == 202, answer
        return answer.json["jobId"]

    def detail(self, job):
        answer = self.get("/job/detail", id=job)
        assert answer.status == 200, answer
        return answer.json

    def known(self, job):
        return self.get("/job/detail", id=job).status == 200

    def listing(self):
        answer = self.get("/pipelines/jobs")
        assert answer.status == 200, answer
        return answer.json

    def jobs(self):
        return self.listing()["jobs"]

    def pipelines(self):
        answer = self.get("/pipelines/")
        assert answer.status == 200, answer
        return {p["pipeline"]: p for p in answer.json["pipelines"]}

    def logs(self, job, task="t"):
        answer = self.get("/job/logs", id=job, task=task)
        assert answer.status == 200, answer
        return answer.json

    def out(self, job, task="t"):
        return self.logs(job, task)["stdout"]

    def cancel(self, job):
        return self.post("/job/cancel", id=job)

    # ---------------------------------------------------------------------------------------- waiting

    def wait_job(self, job, timeout=20.0):
        """Waits until the job is over: completed, or canceled before it ever started."""
        def over():
            d = self.detail(job)
            return d if d["completed"] or (d["canceled"] and d.get("start") is None) else None

        return wait_for(over, timeout, f"job {job} to be over")

    def wait_started(self, job, timeout=15.0):
        return wait_for(
            lambda: (lambda d: d if d.get("start") else None)(self.detail(job)), timeout, f"job {job} to start"
        )

    def wait_task(self, job, name, status, timeout=15.0):
        def there():
            t = task_of(self.detail(job), name)
            if not t or t["status"] != status:
                return None
            return t if status != "running" or t.get("start") else None

        return wait_for(there, timeout, f"task {name} of job {job} to be {status}")

    def wait_log(self, job, text, task="t", stream="stdout", timeout=15.0):
        return wait_for(
            lambda: (lambda s: s if text in s else None)(self.logs(job, task)[stream]),
            timeout, f"{text!r} in the {stream} of task {task}",
        )

    def wait_file(self, name, timeout=15.0):
        return wait_for(lambda: (self.folder / name).exists(), timeout, f"file {name}")

    def run(self, pipeline, variables=None, timeout=20.0, **kw):
        """Schedules a job and waits until it is over."""
        return self.wait_job(self.schedule(pipeline, variables, **kw), timeout)

    def saved(self, name=".prunner/data.json"):
        """The jobs in prunner's format: the daemon's own file, or what it writes for those who go back."""
        path = self.folder / name
        if path.exists():
            return json.loads(path.read_text())
        if not path.parent.exists():
            return None
        done = run_cli(["--data", str(path.parent), "store", "export", "--format", "prunner"], self.folder)
        return json.loads(done.stdout) if done.returncode == 0 else None


def task_of(job, name):
    for t in job.get("tasks") or []:
        if t["name"] == name:
            return t
    return None


def unquoted(text):
    """Log lines carry messages in quotes with backslashes; this undoes that, so that messages can be compared."""
    return text.replace('\\"', '"').replace("\\\\", "\\")


def run_cli(args, folder, env=None, timeout=20.0):
    """Runs the command to its end: for --help, version, debug and wrong flags."""
    return subprocess.run(
        command() + list(args), cwd=folder, env=clean_env(env), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=timeout * PATIENCE, start_new_session=True,
    )
