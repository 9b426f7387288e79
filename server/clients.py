"""Who a client is: the address that its connection came from, or the one that a trusted proxy names.

``X-Forwarded-For`` is a list to which each proxy adds the address it was asked from. Anybody can send one, so
it is read from its end: as long as the address is a trusted proxy's, the one before it is believed. A client
with an IPv6 address is its /64 network, for every host has as many addresses as it likes in its own.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

MOST_PROXIES: Final = 16
"""The header is believed through so many trusted proxies one behind the other."""

_LONGEST: Final = 64

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_networks(names: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks as written, ``10.0.0.0/8``; raises ``ValueError`` for what is none.

    >>> parse_networks(["10.0.0.0/8", "::1"])
    (IPv4Network('10.0.0.0/8'), IPv6Network('::1/128'))
    """
    return tuple(ipaddress.ip_network(name) for name in names)


class Clients:
    """Tells clients apart, with ``trusted`` proxies in front of this server."""

    def __init__(self, trusted: Sequence[Network] = (), *, remembered: int = 4096) -> None:
        self._trusted = trusted
        # The same clients come again and again, and reading an address costs more than looking it up.
        self._read = lru_cache(maxsize=remembered)(_address)

    def name(self, peer: str, forwarded_for: bytes | None = None) -> str:
        """The name of who asks: by the connection's own address and the header's value, if there is one.

        Never fails: what is no address (a Unix socket's, a malformed header's) is a name by itself, or ends
        the list.

        >>> Clients(parse_networks(["10.0.0.1"])).name("10.0.0.1", b"1.1.1.1, 9.9.9.9")
        '9.9.9.9'
        >>> Clients().name("10.0.0.1", b"9.9.9.9")
        '10.0.0.1'
        """
        address = self._read(peer)
        if address is None:
            return peer
        if forwarded_for is not None and self._is_trusted(address):
            # What is left beyond the last ones is one text, and no address.
            for text in reversed(forwarded_for.rsplit(b",", MOST_PROXIES)):
                text = text.strip()
                # What is remembered is bounded by its length, too.
                before = self._read(text.decode("latin-1")) if len(text) <= _LONGEST else None
                if before is None:
                    break
                address = before
                if not self._is_trusted(address):
                    break
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _address(text: str) -> Address | None:
    """An address, with or without brackets and a port; one of IPv4 within IPv6 is the one within."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
