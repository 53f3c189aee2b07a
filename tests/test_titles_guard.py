"""Tests of `app.titles.guard`: which addresses, ports and URLs are open. Nothing is connected."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadValue
from app.titles.guard import (
    BAD_PORTS,
    CLOSED_V4,
    CLOSED_V6,
    OPEN_V6,
    AddrInfo,
    Forbidden,
    Guard,
    Opening,
    is_public,
    opening,
)
from app.titles.urls import parse

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "192.0.1.0", "2606:4700::1111", "2a00:1450::1"]

# What IANA's registries of special-purpose addresses list as not globally reachable (or as not
# known to be), first and last address of each; what holds an IPv4 address; clouds' metadata.
CLOSED = [
    *("0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255"),
    *("127.0.0.0", "127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.255.255"),
    *("172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255"),
    *("192.88.99.0", "192.88.99.255", "192.168.0.0", "192.168.255.255"),
    *("198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255"),
    *("203.0.113.0", "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0"),
    *("255.255.255.255", "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192"),
    *("168.63.129.16", "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1"),
    *("::ffff:10.0.0.1", "::ffff:0:8.8.8.8", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::1", "64:ff9b:1::808:808", "100::1", "100:0:0:1::1", "2001::1", "2001:1::1"),
    *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1"),
    *("2001:1ff:ffff::", "2001:db8::1", "2002::1", "2002:7f00:1::", "2002:808:808::1"),
    *("3fff::1", "3fff:fff:ffff::", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254"),
    *("fdff:ffff::1", "fe80::1", "febf::1", "fec0::1", "ff00::1", "ff02::1", "ffff::1"),
]

# The neighbours of what is closed.
EDGES = [
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0"),
    *("172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0"),
    *("192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255"),
    *("198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0"),
    *("223.255.255.255", "2000::1", "2001:200::1", "2001:db7::1", "2001:db9::1", "2003::1"),
    *("3ffe::1", "3fff:1000::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
]

v4 = st.integers(0, 2**32 - 1).map(IPv4Address)


@pytest.mark.parametrize("address", [*PUBLIC, *EDGES])
def test_a_public_address_is_open(address: str) -> None:
    """The internet is what the service is for."""
    assert Guard().admits(address, 443)


@pytest.mark.parametrize("address", CLOSED)
def test_a_special_address_is_closed(address: str) -> None:
    """Whatever notation it comes in."""
    assert not Guard().admits(address, 80)


@given(v4)
def test_python_never_knows_a_closed_address_that_we_think_open(address: IPv4Address) -> None:
    """Its own table is another reading of the same registry; ours is the stricter."""
    assert is_public(address) <= (address.is_global and not address.is_multicast)


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_an_ipv6_address_outside_the_unicast_block_is_closed(address: IPv6Address) -> None:
    """All that is given out lies in 2000::/3; the rest is special, or not yet anything."""
    nat64 = address in ip_network("64:ff9b::/96")

    assert is_public(address) <= (address in OPEN_V6 or nat64)


@given(v4)
def test_a_mapped_address_is_judged_as_what_it_stands_for(address: IPv4Address) -> None:
    """The kernel connects to the IPv4 address."""
    guard = Guard()

    assert guard.admits(str(address), 80) is guard.admits(f"::ffff:{address}", 80)


@given(v4)
def test_an_address_behind_nat64_is_judged_as_what_it_stands_for(address: IPv4Address) -> None:
    """In a network without IPv4 every page is behind it."""
    guard = Guard()

    assert guard.admits(str(address), 80) is guard.admits(f"64:ff9b::{address}", 80)


@pytest.mark.parametrize("network", [*CLOSED_V4, *CLOSED_V6], ids=str)
def test_both_ends_of_a_closed_network_are_closed(network: object) -> None:
    """A row of the table closes all that it says."""
    ends = ip_network(str(network))

    assert not is_public(ends[0])
    assert not is_public(ends[-1])


def test_a_zone_opens_nothing() -> None:
    """A link-local address is one on any link."""
    assert not Guard().admits("fe80::1%eth0", 80)


@pytest.mark.parametrize("port", [22, 25, 6000, 10080])
def test_a_bad_port_is_closed_on_every_public_address(port: int) -> None:
    """Mail servers and the like must not be spoken to in HTTP."""
    assert not Guard().admits("1.1.1.1", port)


def test_the_bad_ports_are_the_standards() -> None:
    """Fetch standard, port blocking, as of 2025."""
    assert 83 == len(BAD_PORTS)
    assert not {80, 443, 3000, 8000, 8080, 8443} & BAD_PORTS


# --- openings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8", Opening(ip_network("10.0.0.0/8"))),
        ("127.0.0.1", Opening(ip_network("127.0.0.1/32"))),
        ("127.0.0.1:8080", Opening(ip_network("127.0.0.1/32"), 8080)),
        ("::1", Opening(ip_network("::1/128"))),
        ("fd00::/8", Opening(ip_network("fd00::/8"))),
        ("[::1]:8080", Opening(ip_network("::1/128"), 8080)),
    ],
)
def test_an_opening_is_a_network_or_an_address_and_port(text: str, expected: Opening) -> None:
    """As `allow_networks` has them."""
    assert expected == opening(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1:", "127.0.0.1:0", "1.2.3.4:x"),
        *("127.0.0.1:65536", "10.0.0.0/8:80", "[::1]", "[::1]:", "::1:8080:", "127.1", "*"),
        *("127.0.0.1:\u0668\u0660", "::ffff:10.0.0.0/104", "[::ffff:127.0.0.1]:80", ":80"),
    ],
)
def test_what_opens_nothing_is_refused(text: str) -> None:
    """A typing error must not be taken for an opening, nor for none."""
    with pytest.raises(BadValue, match="opens nothing; write a network"):
        opening(text)


def test_an_open_network_is_open_on_every_port() -> None:
    """Whoever opens a network knows what is in it."""
    guard = Guard([opening("10.0.0.0/8"), opening("fd00::/8")])

    assert guard.admits("10.1.2.3", 22)
    assert guard.admits("::ffff:10.1.2.3", 80)
    assert guard.admits("fd00:ec2::254", 80)
    assert not guard.admits("11.0.0.1", 22)
    assert not guard.admits("192.168.0.1", 80)
    assert not guard.admits("64:ff9b::10.1.2.3", 80)  # somebody else's 10.1.2.3


def test_a_pair_opens_one_port_of_one_address() -> None:
    """The tightest opening there is."""
    guard = Guard([opening("127.0.0.1:6000"), opening("[::1]:8080")])

    assert guard.admits("127.0.0.1", 6000)
    assert guard.admits("::1", 8080)
    assert not guard.admits("127.0.0.1", 8080)
    assert not guard.admits("127.0.0.2", 6000)
    assert not guard.admits("1.1.1.1", 6000)


# --- the service's own site ----------------------------------------------------------------------

SITE = Guard(site=[("127.0.0.1", 3000)])


@pytest.mark.parametrize(
    ("path", "admitted"),
    [
        ("/site", True),
        ("/site/1", True),
        ("/site/", True),
        ("/sites", False),
        ("/", False),
        ("/runs", False),
        ("/titles", False),
    ],
)
def test_of_the_service_itself_only_the_site_is_open(path: str, admitted: bool) -> None:
    """No job reads the control pages, and none starts another."""
    assert SITE.admits("127.0.0.1", 3000)
    assert admitted is SITE.admits_path("127.0.0.1", 3000, path)
    assert admitted is SITE.admits_path("::ffff:127.0.0.1", 3000, path)


def test_paths_elsewhere_are_free() -> None:
    """They matter at our own address only, and not where that is opened on purpose."""
    opened = Guard([opening("127.0.0.0/8")], site=[("127.0.0.1", 3000)])

    assert SITE.admits_path("1.1.1.1", 3000, "/runs")
    assert opened.admits_path("127.0.0.1", 3000, "/runs")


def test_the_own_port_is_known() -> None:
    """Elsewhere a request need not be looked at twice."""
    assert SITE.is_own_port(3000)
    assert not SITE.is_own_port(80)
    assert not Guard().is_own_port(3000)


def test_the_site_opens_nothing_around_it() -> None:
    """Neither other ports nor other loopback addresses."""
    assert not SITE.admits("127.0.0.1", 3001)
    assert not SITE.admits("127.0.0.2", 3000)


def test_the_site_is_open_from_the_moment_the_service_listens() -> None:
    """A free port is known only then; what was open before stays so."""
    guard = Guard(site=[("127.0.0.1", 3000)])
    guard.open_site([("127.0.0.1", 6000), ("::1", 6000)])

    assert [True] * 3 == [
        guard.admits(*place) for place in (("127.0.0.1", 3000), ("127.0.0.1", 6000), ("::1", 6000))
    ]
    assert guard.is_own_port(6000)
    assert guard.objection(parse("http://localhost:6000/site/1")) is None
    assert not guard.admits_path("::1", 6000, "/runs")


# --- URLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "objection"),
    [
        ("https://example.com/", None),
        ("http://127.0.0.1/", None),  # that is for the connection to say
        ("http://example.com:8080/", None),
        (
            "http://user@example.com/",
            "'example.com' is given a user or password; leave it out of the URL",
        ),
        (
            "http://example.com:25/",
            "port 25 is not for web pages, as browsers see it; leave it out or use another",
        ),
    ],
)
def test_a_url_shows_credentials_and_ports(text: str, objection: str | None) -> None:
    """What an address does not show."""
    assert objection == Guard().objection(parse(text))


def test_an_opened_bad_port_is_left_to_the_connection() -> None:
    """Whoever opens a pair means it."""
    guard = Guard([opening("127.0.0.1:6000")], site=[("127.0.0.1", 6666)])

    assert guard.objection(parse("http://localhost:6000/")) is None
    assert guard.objection(parse("http://localhost:6666/site/1")) is None
    assert guard.objection(parse("http://localhost:6667/")) is not None


# --- the factory ---------------------------------------------------------------------------------


def info(address: str, port: int = 80) -> AddrInfo:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    place = (address, port, 0, 0) if ":" in address else (address, port)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111"])
def test_the_factory_gives_a_socket_for_an_open_address(address: str) -> None:
    """Of the family that was asked for, connected to nothing."""
    with Guard().socket(info(address)) as made:
        assert (6 if ":" in address else 4) == ip_address(address).version
        assert info(address)[0] == made.family


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%lo", "169.254.169.254"])
def test_the_factory_refuses_a_closed_address_always_alike(address: str) -> None:
    """Happy eyeballs keep the class of several errors only if they say the same."""
    with pytest.raises(Forbidden) as refusal:
        Guard().socket(info(address))

    assert isinstance(refusal.value, OSError)
    assert str(Forbidden()) == str(refusal.value)
