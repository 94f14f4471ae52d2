"""Pipelines in API v1: definition, graph, variables, counts and results."""

from prunner_trio.definition.pipeline import Limits, PipelineDef, QueueStrategy, TaskDef
from prunner_trio.testing import Act

SITE = PipelineDef(
    "site",
    (
        TaskDef("build", ('make "$PRUNNER_VAR_VERSION" {{ .target }}',), env={"KEY": "hidden"}, secrets=("KEY",)),
        TaskDef("links", ("check {{ if .strict }}-s{{ end }}",), limits=Limits(cpu=0.5)),
        TaskDef("publish", ("push {{ .version }}", "echo $PRUNNER_VAR_DRY_RUN"), depends_on=("build", "links")),
    ),
    queue_limit=3,
    queue_strategy=QueueStrategy.REPLACE,
    retention_count=50,
    timeout=60.0,
    env={"TOKEN": "hidden"},
    secrets=("TOKEN",),
    limits=Limits(memory=1024),
    log_limit=8192,
    on_error=TaskDef("on_error", ("tell {{ .failedTaskName }} {{ .channel }}",)),
    file="site/pipelines.yml",
)


def test_a_pipeline_shows_its_definition_but_no_value_of_its_environment(play):
    async def scenario(api):
        got = await api("GET", "/v1/pipelines/site")
        assert b"hidden" not in got.body
        found = got.json
        assert found["queue"] == {"limit": 3, "strategy": "replace", "partition_limit": None, "start_delay": 0.0}
        assert found["retention"] == {"period": 0.0, "count": 50}
        assert (found["env"], found["timeout"], found["file"]) == (["TOKEN"], 60.0, "site/pipelines.yml")
        assert found["on_error"]["script"] == ["tell {{ .failedTaskName }} {{ .channel }}"]
        assert found["tasks"][0]["secrets"] == ["KEY", "TOKEN"]
        assert found["tasks"][1] == {
            "name": "links",
            "depends_on": [],
            "script": ["check {{ if .strict }}-s{{ end }}"],
            "allow_failure": False,
            "env": [],
            "shell": None,
            "timeout": None,
            "kill_timeout": None,
            "orphans": None,
            "limits": {"memory": 1024, "cpu": 0.5, "processes": None},
            "log_limit": 8192,
            "secrets": ["TOKEN"],
        }

    play(scenario, SITE)


def test_a_pipeline_shows_its_graph(play):
    async def scenario(api):
        graph = (await api.get("/v1/pipelines/site"))["graph"]
        assert graph["layers"] == [["build", "links"], ["publish"]]
        assert graph["nodes"][2] == {"name": "publish", "layer": 1}
        assert graph["edges"] == [
            {"source": "build", "target": "publish"},
            {"source": "links", "target": "publish"},
        ]

    play(scenario, SITE)


def test_a_pipeline_tells_which_variables_a_form_must_offer(play):
    async def scenario(api):
        found = (await api.get("/v1/pipelines/site"))["variables"]
        assert [(v["name"], v["env"], v["tasks"], v["in_template"]) for v in found] == [
            ("channel", "PRUNNER_VAR_CHANNEL", ["on_error"], True),
            ("dry_run", "PRUNNER_VAR_DRY_RUN", ["publish"], False),
            ("strict", "PRUNNER_VAR_STRICT", ["links"], True),
            ("target", "PRUNNER_VAR_TARGET", ["build"], True),
            ("version", "PRUNNER_VAR_VERSION", ["build", "publish"], True),
        ]

    play(scenario, SITE)


def test_pipelines_show_what_runs_what_waits_and_how_it_ended(play):
    one = PipelineDef("one", (TaskDef("t", ("run",)),), concurrency=1)

    async def scenario(api):
        (before,) = (await api.get("/v1/pipelines"))["pipelines"]
        assert (before["last"], before["ends"]) == (None, [])
        first, _, _ = [await api.schedule("one") for _ in range(3)]
        (now,) = (await api.get("/v1/pipelines"))["pipelines"]
        assert (now["running"], now["waiting"], now["concurrency"], now["schedulable"]) == (1, 2, 1, True)
        await api.rig.at(1.5)
        (now,) = (await api.get("/v1/pipelines"))["pipelines"]
        assert now["last"] == {
            "id": first,
            "state": "done",
            "outcome": "succeeded",
            "started": "2027-01-15T08:00:00.000Z",
            "ended": "2027-01-15T08:00:01.000Z",
            "duration": 1.0,
        }
        await api.rig.at(10)
        detail = await api.get("/v1/pipelines/one")
        assert [(end["outcome"], end["duration"]) for end in detail["ends"]] == [
            ("succeeded", 1.0),
            ("failed", 2.0),
            ("succeeded", 1.0),
        ]
        assert detail["last"] == detail["ends"][-1]

    play(scenario, one, acts={"t": [Act(1), Act(2, exit_code=1), Act(1)]})


def test_the_latest_results_are_read_from_the_store_and_removed_ones_forgotten(play):
    short = PipelineDef("short", (TaskDef("t", ("run",)),), retention_count=30)

    async def scenario(api):
        for second in range(25):
            await api.rig.at(second)
            await api.schedule("short")
        await api.rig.at(30)
        ends = (await api.get("/v1/pipelines/short"))["ends"]  # asked for the first time: read
        assert len(ends) == 20
        assert ends == sorted(ends, key=lambda end: end["ended"])
        for second in range(31, 100):
            await api.rig.at(second)
            last = await api.schedule("short")
        await api.rig.at(200)
        ends = (await api.get("/v1/pipelines/short"))["ends"]
        assert (len(ends), ends[-1]["id"]) == (20, last)

    play(scenario, short)


def test_a_canceled_job_that_never_ran_is_no_result(play):
    one = PipelineDef("one", (TaskDef("t", ("run",)),))

    async def scenario(api):
        running, waiting = await api.schedule("one"), await api.schedule("one")
        await api("POST", f"/v1/jobs/{waiting}/cancel")
        await api.rig.at(5)
        assert [end["id"] for end in (await api.get("/v1/pipelines/one"))["ends"]] == [running]

    play(scenario, one, acts={"t": Act(1)})
