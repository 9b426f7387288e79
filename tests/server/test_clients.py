"""Who a client is."""

import tracemalloc

import pytest

from server.clients import MOST_PROXIES, Clients, parse_networks

TRUSTED = Clients(parse_networks(["10.0.0.0/8", "127.0.0.1", "fd00::/8"]))


@pytest.mark.parametrize(
    ("peer", "forwarded", "name"),
    [
        # nobody in front
        ("1.2.3.4", None, "1.2.3.4"),
        ("1.2.3.4", b"9.9.9.9", "1.2.3.4"),
        # a proxy of ours, and a client that names others itself
        ("10.1.1.1", b"9.9.9.9", "9.9.9.9"),
        ("10.1.1.1", b"6.6.6.6, 9.9.9.9", "9.9.9.9"),
        ("10.1.1.1", b"6.6.6.6,9.9.9.9", "9.9.9.9"),
        # two of ours
        ("10.1.1.1", b"6.6.6.6, 9.9.9.9, 10.2.2.2", "9.9.9.9"),
        ("127.0.0.1", b"10.3.3.3, 10.2.2.2", "10.3.3.3"),
        # no header, or one that says nothing
        ("10.1.1.1", None, "10.1.1.1"),
        ("10.1.1.1", b"", "10.1.1.1"),
        ("10.1.1.1", b"unknown", "10.1.1.1"),
        ("10.1.1.1", b"9.9.9.9, _hidden, 10.2.2.2", "10.2.2.2"),
        ("10.1.1.1", b"\xff\xfe", "10.1.1.1"),
        # with a port, as some proxies write it
        ("10.1.1.1", b"9.9.9.9:4711", "9.9.9.9"),
        ("10.1.1.1", b"[2001:db8::1]:4711", "2001:db8::/64"),
        # IPv6: a client is its network
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ("fd00::1", b"2001:db8::7", "2001:db8::/64"),
        ("fe80::1%eth0", None, "fe80::/64"),
        ("::ffff:1.2.3.4", None, "1.2.3.4"),
        ("::ffff:10.1.1.1", b"9.9.9.9", "9.9.9.9"),
        # no address at all
        ("", b"9.9.9.9", ""),
        ("testclient", b"9.9.9.9", "testclient"),
    ],
)
def test_a_client_is_its_address_or_the_one_a_trusted_proxy_names(
    peer: str, forwarded: bytes | None, name: str
) -> None:
    assert TRUSTED.name(peer, forwarded) == name


def test_a_header_without_end_is_read_from_its_end_and_not_remembered() -> None:
    clients = Clients(parse_networks(["10.0.0.0/8"]), remembered=8)
    hops = b", 10.2.2.2" * MOST_PROXIES
    assert clients.name("10.1.1.1", b"9.9.9.9" + hops) == "9.9.9.9"
    assert clients.name("10.1.1.1", b"9.9.9.9, 10.3.3.3" + hops) == "10.2.2.2"
    tracemalloc.start()
    for number in range(64):
        assert clients.name("10.1.1.1", b"fe80::1%" + b"%d" % number * 100_000) == "10.1.1.1"
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100_000


def test_without_trusted_proxies_the_header_says_nothing() -> None:
    assert Clients().name("10.1.1.1", b"9.9.9.9") == "10.1.1.1"


@pytest.mark.parametrize("name", ["10.0.0.1/8", "proxy.example", "300.1.1.1", ""])
def test_what_is_no_network_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_networks([name])
