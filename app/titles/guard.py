"""
Where the service may fetch from, since strangers choose the URLs: the public internet.

The rule that counts is asked when a connection is opened, for the very address it goes to. So
redirects, rebinding names, literals in odd notations and pooled connections change nothing.
What is judged before, by the URL, is what an address does not show.

The table below is our own, and tested: Python's `is_global` differs from release to release.
"""

import socket
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import NamedTuple

from app.errors import BadValue
from app.grammar import integer, quoted
from app.titles.urls import Url

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# IPv4 addresses that are not globally reachable, by IANA's "IPv4 Special-Purpose Address Registry".
# Where a rest of a block is reachable (192.0.0.9, 192.0.0.10), the whole block is closed.
CLOSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # shared, and a cloud's metadata at 100.100.100.200 (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122)
        "168.63.129.16/32",  # a cloud's agent, on an address that is nominally global
        "169.254.0.0/16",  # link-local, and most clouds' metadata (RFC 3927)
        "172.16.0.0/12",  # private (RFC 1918)
        "192.0.0.0/24",  # protocol assignments, and a cloud's metadata at .192 (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # relays of 6to4, deprecated (RFC 7526)
        "192.168.0.0/16",  # private (RFC 1918)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved, and broadcast (RFC 1112, RFC 8190)
    )
)

# All of IPv6 that is given out for use on the internet (RFC 4291, IANA's "IPv6 Global Unicast
# Address Assignments"). Outside are, among others: loopback, IPv4-compatible and IPv4-translated
# addresses, local NAT64 (64:ff9b:1::/48), discard-only (100::/64), segment routing (5f00::/16),
# private (fc00::/7, and a cloud's metadata at fd00:ec2::254), link- and site-local, multicast.
OPEN_V6 = IPv6Network("2000::/3")

# What is special inside, by IANA's "IPv6 Special-Purpose Address Registry".
CLOSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them (RFC 2928, RFC 4380)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4, which hides an IPv4 address (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
    )
)

MAPPED = IPv6Network("::ffff:0:0/96")  # an IPv4 address in IPv6 notation (RFC 4291)
NAT64 = IPv6Network("64:ff9b::/96")  # the well-known prefix before an IPv4 address (RFC 6052)

# The WHATWG Fetch standard, "port blocking": where other protocols can be tricked into listening.
BAD_PORTS = frozenset(
    {
        0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95,
        101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179,
        389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601,
        636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566,
        6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    }
)  # fmt: skip

SITE = "/site"  # the pages of our own service that are always open

AddrInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


class Forbidden(OSError):
    """
    A connection to an address that is closed.

    An `OSError`, so that the next address of a name is tried; and always the same message, so that
    the class survives when all are closed.
    """

    def __init__(self) -> None:
        super().__init__("the address is closed")


class Opening(NamedTuple):
    """A network that is open to the service, or one port of one address."""

    network: Network
    port: int | None = None

    def admits(self, address: Address, port: int) -> bool:
        return self.port in (None, port) and address in self.network


def opening(text: str) -> Opening:
    """
    What one text opens: a network such as `10.0.0.0/8`, an address, or an address and a port.

    IPv6 addresses stand in brackets before a port: `[::1]:8080`.

    Raises:
        BadValue: it is neither.
    """
    place, port = _split_port(text)
    try:
        network = ip_network(place)
        if network.network_address not in MAPPED:  # those are judged as the IPv4 they stand for
            if port is None:
                return Opening(network)
            if network.num_addresses == 1 and 0 < integer(port) < 1 << 16:
                return Opening(network, integer(port))
    except ValueError:
        pass
    raise BadValue(
        f"{quoted(text)} opens nothing; write a network such as 10.0.0.0/8, or one address and "
        "port such as 127.0.0.1:8080 or [::1]:8080"
    )


def _split_port(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        place, _, port = text[1:].partition("]:")
        return place, port
    if text.count(":") == 1:
        place, _, port = text.partition(":")
        return place, port
    return text, None


def is_public(address: Address) -> bool:
    """Whether the address is globally routable; one that holds an IPv4 address is judged by it."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in CLOSED_V4)
    if address in NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in OPEN_V6 and not any(address in network for network in CLOSED_V6)


class Guard:
    """
    Which URLs and addresses the service may fetch from.

    Public addresses, on ports that no other protocol uses; what *openings* open besides; and at
    the service's own *site*, pairs of address and port, the pages below `/site` alone: no job reads
    the control pages or starts other jobs.
    """

    def __init__(
        self, openings: Iterable[Opening] = (), site: Iterable[tuple[str, int]] = ()
    ) -> None:
        self._openings = tuple(openings)
        self._site: set[tuple[Address, int]] = set()
        self._own_ports: set[int] = set()
        self._odd_ports = {opening.port for opening in self._openings}
        self.open_site(site)

    def open_site(self, places: Iterable[tuple[str, int]]) -> None:
        """The service listens at these addresses and ports: its site is open there from now on."""
        self._site |= {(ip_address(address), port) for address, port in places}
        self._own_ports |= {port for _, port in self._site}
        self._odd_ports |= self._own_ports

    def objection(self, url: Url) -> str | None:
        """Why that URL is not fetched, in one sentence; None if the addresses shall decide."""
        if url.has_user:
            return f"{quoted(url.host)} is given a user or password; leave it out of the URL"
        if url.port in BAD_PORTS and url.port not in self._odd_ports:
            return (
                f"port {url.port} is not for web pages, as browsers see it; leave it out or use "
                "another"
            )
        return None

    def admits(self, address: str, port: int) -> bool:
        """Whether a connection may be opened to that numeric address."""
        place = _plain(address)
        return (place, port) in self._site or self._is_open(place, port)

    def admits_path(self, address: str, port: int, path: str) -> bool:
        """Whether that path may be asked for, over a connection to that address."""
        place = _plain(address)
        if (place, port) not in self._site or self._is_open(place, port):
            return True
        return path == SITE or path.startswith(f"{SITE}/")

    def is_own_port(self, port: int) -> bool:
        """Whether the service itself may be listening there, so that paths matter."""
        return port in self._own_ports

    def socket(self, info: AddrInfo) -> socket.socket:
        """
        A socket to connect to the address in *info*: the factory for a `TCPConnector`.

        Raises:
            Forbidden: the address is closed.
        """
        family, kind, protocol, _, place = info
        if not self.admits(place[0], place[1]):
            raise Forbidden
        return socket.socket(family, kind, protocol)

    def _is_open(self, place: Address, port: int) -> bool:
        if any(opening.admits(place, port) for opening in self._openings):
            return True
        return port not in BAD_PORTS and is_public(place)


def _plain(address: str) -> Address:
    """The address, without its zone; an IPv4 address in IPv6 notation is what it stands for."""
    place = ip_address(address.partition("%")[0])
    if isinstance(place, IPv6Address) and place.ipv4_mapped is not None:
        return place.ipv4_mapped
    return place
