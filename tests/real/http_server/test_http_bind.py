"""Addresses as Go programs write them, and their errors in Go's words."""

from __future__ import annotations

import errno
import socket

import pytest

from prunner_trio.http.server import bind

pytestmark = pytest.mark.real

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


def reachable(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("address", "hosts", "others"),
    [
        ("127.0.0.1:0", ["127.0.0.1"], ["127.0.0.2"]),
        ("localhost:0", ["127.0.0.1"], ["127.0.0.2"]),
        ("localhost:", ["127.0.0.1"], ["127.0.0.2"]),
        (":0", ["127.0.0.1", "127.0.0.2"], []),
        ("0.0.0.0:0", ["127.0.0.1", "127.0.0.2"], []),
        pytest.param(":0", ["127.0.0.1", "::1"], [], marks=needs_ipv6),
        pytest.param("[::]:0", ["127.0.0.1", "::1"], [], marks=needs_ipv6),
        pytest.param("[::1]:0", ["::1"], ["127.0.0.1"], marks=needs_ipv6),
        pytest.param("0.0.0.0:0", ["127.0.0.1"], ["::1"], marks=needs_ipv6),
    ],
)
def test_an_address_is_reachable_on_its_interfaces_only(address: str, hosts: list[str], others: list[str]) -> None:
    (sock,) = bind(address)
    with sock:
        port = sock.getsockname()[1]
        assert [host for host in hosts + others if reachable(host, port)] == hosts


def test_child_processes_do_not_inherit_the_socket() -> None:
    """Hypercorn's own sockets are inherited; a task that survives us would keep the port."""
    (sock,) = bind("127.0.0.1:0")
    with sock:
        assert not sock.get_inheritable()


def test_a_port_can_be_taken_again_at_once_after_a_restart() -> None:
    (sock,) = bind("127.0.0.1:0")
    where = sock.getsockname()
    client = socket.create_connection(where)
    connection, _ = sock.accept()
    connection.close()  # the server's side closes first: its port is in TIME_WAIT now
    client.close()
    sock.close()
    (again,) = bind(f"{where[0]}:{where[1]}")
    again.close()


def test_a_port_in_use_is_an_error_in_the_words_of_go() -> None:
    (sock,) = bind("127.0.0.1:0")
    with sock:
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match="already in use") as caught:
            bind(f"localhost:{port}")
    assert caught.value.errno == errno.EADDRINUSE
    assert caught.value.strerror == f"listen tcp 127.0.0.1:{port}: bind: address already in use"


def test_a_port_in_use_on_all_interfaces_is_named_as_it_was_given() -> None:
    (sock,) = bind(":0")
    with sock:
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match="already in use") as caught:
            bind(f":{port}")
    assert caught.value.strerror == f"listen tcp :{port}: bind: address already in use"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("localhost", "listen tcp: address localhost: missing port in address"),
        ("", "listen tcp: address : missing port in address"),
        ("[::1]", "listen tcp: address [::1]: missing port in address"),
        ("::1:80", "listen tcp: address ::1:80: too many colons in address"),
        ("localhost:65536", "listen tcp: address 65536: invalid port"),
        ("localhost:no-such-service", "listen tcp: lookup tcp/no-such-service: unknown port"),
        ("localhost:-1", "listen tcp: lookup tcp/-1: unknown port"),
        ("host.invalid:0", "listen tcp: lookup host.invalid: no such host"),
        ("192.0.2.1:0", "listen tcp 192.0.2.1:0: bind: cannot assign requested address"),
    ],
)
def test_an_impossible_address_is_an_error_in_the_words_of_go(address: str, text: str) -> None:
    with pytest.raises(OSError, match="listen tcp") as caught:
        bind(address)
    assert caught.value.strerror == text
