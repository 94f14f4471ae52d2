"""What the unit files for systemd say."""

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.daemon.unit import Installation, longest_kill_timeout, service_unit, socket_unit, stop_seconds
from prunner_trio.definition import Definitions
from prunner_trio.definition.pipeline import PipelineDef, TaskDef

HERE = Installation(program="/opt/p/bin/prunner-trio", path="/srv/app")


def lines(text: str) -> list[str]:
    return [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def value(text: str, key: str) -> str:
    (found,) = [line for line in lines(text) if line.startswith(f"{key}=")]
    return found.removeprefix(f"{key}=")


def unquoted(command: str) -> list[str]:
    """The words as systemd understands them; its double quotes are those of a shell here."""
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(command)]


def test_by_default_nothing_hems_in_tasks() -> None:
    text = service_unit(HERE)
    for line in lines(text):
        assert not re.match(r"(Protect|Restrict|Private|SystemCall|NoNewPrivileges|Lock|ReadWrite|Dynamic)", line)
    assert "#NoNewPrivileges=yes" in text


def test_strict_turns_on_what_is_a_comment_otherwise() -> None:
    options = [line[1:] for line in service_unit(HERE).splitlines() if re.match(r"#[A-Z]\w+=", line)]
    strict = Installation(program="/opt/p/bin/prunner-trio", path="/srv/app", strict=True)
    assert len(options) > 15
    assert set(options) <= set(lines(service_unit(strict)))


@pytest.mark.parametrize("strict", [True, False])
def test_every_option_that_hems_in_tasks_has_a_word_on_what_it_takes(strict: bool) -> None:
    text = service_unit(Installation(program="/opt/p", path="/srv/app", strict=strict)).partition("OOMPolicy=")[2]
    above = ""
    for line in text.partition("[Install]")[0].splitlines()[1:]:
        if re.match(r"#?[A-Z]\w+=", line) and not re.match(r"#?ReadWritePaths", line):
            assert above.startswith("# "), line
        above = line


def test_a_home_directory_stays_visible_when_something_is_there() -> None:
    assert "ProtectHome" in service_unit(HERE)
    assert "ProtectHome" not in service_unit(Installation(program="/opt/p", path="/home/jane/app"))
    assert "ProtectHome" not in service_unit(Installation(program="/root/venv/bin/p", path="/srv/app"))
    assert "ProtectHome" in service_unit(Installation(program="/opt/p", path="/homeland"))


def test_the_control_groups_of_tasks_stay_writable() -> None:
    strict = lines(service_unit(Installation(program="/opt/p", path="/srv/app", strict=True)))
    assert "Delegate=yes" in strict
    assert not [line for line in strict if line.startswith("ProtectControlGroups")]


def test_a_stop_has_the_time_for_the_longest_kill_timeout() -> None:
    handler = TaskDef("on_error", kill_timeout=500.0)
    one = PipelineDef("one", tasks=(TaskDef("a", kill_timeout=100.0), TaskDef("b")), kill_timeout=50.0)
    assert longest_kill_timeout(Definitions.of()) == 2.0
    assert longest_kill_timeout(Definitions.of(one)) == 100.0
    assert longest_kill_timeout(Definitions.of(one, PipelineDef("two", on_error=handler))) == 500.0
    assert longest_kill_timeout(Definitions.of(PipelineDef("quick", kill_timeout=0.0))) == 2.0
    unit = service_unit(Installation(program="/opt/p", path="/srv/app", kill_timeout=500.0))
    assert int(value(unit, "TimeoutStopSec")) == stop_seconds(500.0)
    assert stop_seconds(500.0) > 500.0 + 5.0 + 3.0 + 10.0


def test_a_user_unit_has_no_user_and_starts_with_its_session() -> None:
    text = service_unit(Installation(program="/opt/p", path="/srv/app", per_user=True))
    assert "User=" not in text
    assert value(text, "WantedBy") == "default.target"
    assert "systemctl --user daemon-reload" in text


def test_data_and_config_of_ones_own_need_no_state_directory() -> None:
    assert "StateDirectory" in service_unit(Installation(program="/opt/p", path="/srv/app", data="/data"))
    text = service_unit(
        Installation(program="/opt/p", path="/srv/app", data="/data", config="/etc/p/c.yml", strict=True)
    )
    assert "StateDirectory" not in text
    assert value(text, "ReadWritePaths") == "/srv/app /data /etc/p"


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_paths_of_all_kinds_come_through(name: str) -> None:
    path = "/srv/" + name
    if not path.isprintable() or path[-1] in " \\":
        with pytest.raises(ValueError, match="no unit file can hold"):
            Installation(program="/opt/p", path=path)
        return
    text = service_unit(
        Installation(program="/opt/p", path=path, pattern=name, flags={"watch": None, "env-files": name})
    )
    words = unquoted(value(text, "ExecStart"))
    assert words[:5] == ["/opt/p", "--path", path, "--pattern", name]
    assert words[-2:] == ["--watch", f"--env-files={name}"]
    assert value(text, "WorkingDirectory").replace("%%", "%") == path


@pytest.mark.parametrize("text", ["a\nExecStart=/bin/evil", "a\0", "a\r", "\x1b[1m"])
def test_no_value_can_become_a_line_of_its_own(text: str) -> None:
    with pytest.raises(ValueError, match="no unit file can hold"):
        Installation(program="/opt/p", path="/srv", user=text)


@pytest.mark.parametrize(
    ("address", "stream"),
    [
        ("localhost:9009", "127.0.0.1:9009"),
        (":9009", "9009"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("[::1]:80", "[::1]:80"),
    ],
)
def test_the_socket_listens_where_the_daemon_would(address: str, stream: str) -> None:
    text = socket_unit(Installation(program="/opt/p", path="/srv", address=address))
    assert value(text, "ListenStream") == stream


@pytest.mark.parametrize("address", ["example.org:80", "cafe:80", "localhost", "localhost:http"])
def test_an_address_that_systemd_cannot_use_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=re.escape(address.rpartition(":")[0] or address)):
        socket_unit(Installation(program="/opt/p", path="/srv", address=address))


def test_with_handover_a_restart_hands_over_and_systemd_leaves_tasks_alone() -> None:
    text = service_unit(Installation(program="/opt/p/bin/prunner-trio", path="/srv/app", flags={"handover": None}))
    assert "--handover" in unquoted(value(text, "ExecStart"))
    assert value(text, "KillMode") == "process"
    assert value(text, "RestartKillSignal") == "SIGUSR2"
    assert value(text, "DelegateSubgroup") == "main-of-prunner"
    assert value(service_unit(HERE), "KillMode") == "mixed"
    assert "SIGUSR2" not in service_unit(HERE)
