"""Where a webhook may go: https to a public address, or an origin that the settings name.

A service that posts wherever it is told can be made to ask its own network. So a name is resolved
here, every address it stands for is looked at, and the connection goes to the very address that was
looked at: a name that stands for another one a moment later changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from serving.errors import InvalidRequestError

_PORTS: Final = {"https": 443, "http": 80}
_LONGEST: Final = 500
# Nothing outside is handed out to anybody; what carries another address may carry a private one.
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
# Addresses of protocols and of clouds' own services, some of which look public to the library.
_OF_PROTOCOLS: Final = ipaddress.IPv4Network("192.0.0.0/24")
_OF_CLOUDS: Final = frozenset({ipaddress.IPv4Address("168.63.129.16")})
_CARRIERS: Final = tuple(map(ipaddress.IPv6Network, ("2001::/32", "2002::/16", "3fff::/20")))


@dataclass(frozen=True)
class Target:
    """An address that was looked at, and what is asked there."""

    scheme: str
    name: str
    port: int
    path: str
    address: str

    @property
    def url(self) -> str:
        """The URL with the address in the place of the name."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def host(self) -> str:
        """What the header ``Host`` says."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


def origins(text: str) -> frozenset[str]:
    """Read the origins of a setting, comma-separated.

    >>> sorted(origins("https://hooks.example.gov, http://10.0.0.7:9000/"))
    ['http://10.0.0.7:9000', 'https://hooks.example.gov:443']

    Raises
    ------
    InvalidRequestError
        When one of them is none.
    """
    try:
        return frozenset(_origin(_split(one.strip())) for one in text.split(",") if one.strip())
    except InvalidRequestError:
        raise InvalidRequestError(
            "FFL_RISK_WEBHOOK_ORIGINS names what is no origin.",
            expected="addresses such as https://hooks.example.gov:8443, comma-separated",
        ) from None


def check_url(url: str, allowed: frozenset[str]) -> SplitResult:
    """Return the parts of a URL that a webhook may have.

    Raises
    ------
    InvalidRequestError
        When it may not have it.
    """
    parts = _split(url)
    if _origin(parts) in allowed:
        return parts
    if parts.scheme != "https" or _port(parts) != 443:
        raise InvalidRequestError(
            "A webhook goes over https on port 443.",
            found=_origin(parts),
            fix="set FFL_RISK_WEBHOOK_ORIGINS to that origin, if it is meant",
        )
    return parts


def check_now(url: str, allowed: frozenset[str]) -> bool:
    """Return whether a webhook's name can be resolved; what it stands for is looked at if so.

    Raises
    ------
    InvalidRequestError
        When it may not have that URL, or its name stands for an address that is not public.
    """
    check_url(url, allowed)
    try:
        target_of(url, allowed)
    except OSError:
        return False
    return True


def target_of(url: str, allowed: frozenset[str]) -> Target:
    """Look up where a URL leads, and return the address to connect to.

    Raises
    ------
    InvalidRequestError
        When it leads to an address that is not public and not allowed by name.
    OSError
        When the name cannot be resolved.
    """
    parts = check_url(url, allowed)
    name, port = str(parts.hostname), _port(parts)
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    addresses = [str(one[4][0]) for one in found]
    if _origin(parts) not in allowed and not all(map(is_public, addresses)):
        raise InvalidRequestError(
            "The webhook's name stands for an address that is not public.",
            fix="set FFL_RISK_WEBHOOK_ORIGINS to its origin, if it is meant",
        )
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme, name, port, f"{parts.path or '/'}{query}", addresses[0])


def is_public(address: str) -> bool:
    """Whether an address is reachable by everybody, and carries no other one.

    >>> [is_public(a) for a in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1")]
    [True, False, False, False]
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found not in _UNICAST or any(found in network for network in _CARRIERS):
            return False
    if isinstance(found, ipaddress.IPv4Address) and (found in _OF_PROTOCOLS or found in _OF_CLOUDS):
        return False
    return found.is_global and not found.is_multicast


def _split(url: str) -> SplitResult:
    """Read a URL; what browsers and libraries read in different ways is refused."""
    wrong = InvalidRequestError(
        "That is no address for a webhook.",
        expected="https://HOST/PATH, without a user, a password or a fragment",
    )
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or set(url) & set(" \\"):
        raise wrong
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    is_plain = parts.scheme in _PORTS and parts.hostname and port != 0
    if not is_plain or "@" in parts.netloc or parts.fragment:
        raise wrong
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _origin(parts: SplitResult) -> str:
    name = str(parts.hostname)
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{_port(parts)}"
