"""Who counts as one client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.http.addresses import LOCAL, address_key, address_text, requester_key

MANY = {
    "192.0.2.7": "192.0.2.7",
    "::ffff:192.0.2.7": "192.0.2.7",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:db8:1:2:ffff::1": "2001:db8:1:2::/64",
    "[2001:db8:1:2::1]": "2001:db8:1:2::/64",
    "fe80::1%eth0": "fe80::/64",
    "0.0.0.0": "0.0.0.0",
}
HERE = [
    None,
    "",
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "::ffff:127.0.0.1",
    "unix:",
    "somebody",
    "1.2.3",
    "a\0b",
    "ü",
    "1.2.3.4:80",
]


@pytest.mark.parametrize("host", MANY)
def test_an_address_has_a_key_that_its_network_shares(host: str) -> None:
    assert address_text(address_key(host)) == MANY[host]


@pytest.mark.parametrize("host", HERE)
def test_what_is_local_or_no_address_is_not_told_apart(host: str | None) -> None:
    assert address_key(host) == LOCAL
    assert address_text(LOCAL) == "local"


@pytest.mark.parametrize(
    ("host", "forwarded", "found"),
    [
        ("127.0.0.1", [], "local"),
        (None, ["192.0.2.7"], "192.0.2.7"),
        ("127.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("::1", ["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
        ("127.0.0.1", ["192.0.2.7", "198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["192.0.2.7, unknown"], "local"),
        ("127.0.0.1", ["192.0.2.7, 127.0.0.1"], "local"),
        ("203.0.113.9", ["192.0.2.7"], "203.0.113.9"),
    ],
)
def test_only_a_local_proxy_is_believed_and_only_what_it_has_seen_itself(
    host: str | None, forwarded: list[str], found: str
) -> None:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value.encode()) for value in forwarded)]
    assert address_text(requester_key(host, headers)) == found


@given(st.text(), st.binary())
def test_nonsense_is_no_error(host: str, forwarded: bytes) -> None:
    address_text(address_key(host))
    requester_key("127.0.0.1", [(b"x-forwarded-for", forwarded)])
