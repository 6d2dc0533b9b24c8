"""Kubernetes' IP and CIDR libraries, which cel-go's network extension has too.

Addresses are those of RFC 4291 and RFC 5952, without zones. An IPv6 address that embeds an IPv4 address in
dotted form is refused; one in hexadecimal form equals the IPv4 address.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable

from engine.base.errors import quote
from engine.cel.costs import READING
from engine.cel.library import Library
from engine.cel.values import CelError, OpaqueValue, Value, no_overload, require_type

LIBRARY = Library(
    __name__,
    "IP addresses",
    source="cel-go network extension, Kubernetes IP and CIDR libraries",
    namespace="ip",
)

_Parsed = ipaddress.IPv4Address | ipaddress.IPv6Address
_LONGEST = 64
_PREFIX = r"(?:0|[1-9][0-9]{0,2})\Z"


class Address(OpaqueValue):
    """An IP address; `plain` is the IPv4 address where an IPv6 address embeds one."""

    __slots__ = ("address", "plain")
    __type_name__ = "net.IP"

    def __init__(self, address: _Parsed) -> None:
        self.address = address
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        self.plain: _Parsed = mapped or address

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self.plain == other.plain

    def __hash__(self) -> int:
        return hash(self.plain)

    def __str__(self) -> str:
        return str(self.address)


class Block(OpaqueValue):
    """A block of addresses: an address and the length of the prefix."""

    __slots__ = ("address", "length")
    __type_name__ = "net.CIDR"

    def __init__(self, address: Address, length: int) -> None:
        self.address = address
        self.length = length

    @property
    def first(self) -> _Parsed:
        """Return the first address of the block."""
        address = self.address.address
        return type(address)(int(address) >> self.host_bits << self.host_bits)

    @property
    def host_bits(self) -> int:
        """Return the number of bits after the prefix."""
        return self.address.address.max_prefixlen - self.length

    def holds(self, address: _Parsed) -> bool:
        """Return True if an address is in the block."""
        own = self.address.address
        return own.version == address.version and int(own) >> self.host_bits == int(address) >> self.host_bits

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Block) and (self.address, self.length) == (other.address, other.length)

    def __hash__(self) -> int:
        return hash((self.address, self.length))

    def __str__(self) -> str:
        return f"{self.address}/{self.length}"


@functools.lru_cache(maxsize=1024)
def _parse_address(text: str) -> Address | None:
    """Return the address that a text is, or None."""
    if len(text) > _LONGEST or "%" in text or "/" in text or (":" in text and "." in text):
        return None
    try:
        return Address(ipaddress.ip_address(text))
    except ValueError:
        return None


@functools.lru_cache(maxsize=1024)
def _parse_block(text: str) -> Block | None:
    """Return the block that a text is, or None."""
    if len(text) > _LONGEST:
        return None
    head, _, tail = text.partition("/")
    address = _parse_address(head)
    if address is None or not re.match(_PREFIX, tail) or int(tail) > address.address.max_prefixlen:
        return None
    return Block(address, int(tail))


def _address(name: str, value: Value) -> Address:
    """Return an address, or the address that a text is."""
    if isinstance(value, Address):
        return value
    require_type(name, value, str)
    parsed = _parse_address(value)
    if parsed is None:
        raise CelError(f"{name}: {quote(value)} is not an IP address")
    return parsed


def _block(name: str, value: Value) -> Block:
    """Return a block, or the block that a text is."""
    if isinstance(value, Block):
        return value
    require_type(name, value, str)
    parsed = _parse_block(value)
    if parsed is None:
        raise CelError(f"{name}: {quote(value)} is not a CIDR block")
    return parsed


@LIBRARY.function(
    "ip",
    "ip(string) -> net.IP",
    "net.CIDR.ip() -> net.IP",
    description="The IP address that a text is, or that a CIDR block is written with.",
    example="ip('192.168.0.1').family() == 4",
    cost=READING,
    operations=60,
)
def ip(value: Value) -> Address:
    """Return `ip(value)` or `value.ip()`."""
    if isinstance(value, Block):
        return value.address
    require_type("ip", value, str)
    return _address("ip", value)


@LIBRARY.function(
    "isIP",
    "isIP(string) -> bool",
    description="True if a text is an IP address.",
    example="isIP('2001:db8::68') && !isIP('192.168.0.256')",
    cost=READING,
    operations=60,
)
def is_ip(text: Value) -> bool:
    """Return `isIP(text)`."""
    require_type("isIP", text, str)
    return _parse_address(text) is not None


@LIBRARY.function(
    "ip.isCanonical",
    "ip.isCanonical(string) -> bool",
    description="True if an IP address is written as RFC 5952 recommends.",
    example="!ip.isCanonical('2001:DB8::68')",
    cost=READING,
    operations=60,
)
def is_canonical(text: Value) -> bool:
    """Return `ip.isCanonical(text)`."""
    require_type("ip.isCanonical", text, str)
    return bool(str(_address("ip.isCanonical", text)) == text)


@LIBRARY.function(
    "family",
    "net.IP.family() -> int",
    description="4 or 6.",
    example="ip('2001:db8::68').family() == 6",
)
def family(address: Value) -> int:
    """Return `address.family()`."""
    require_type("family", address, Address)
    return int(address.plain.version)


def _is_broadcast(address: _Parsed) -> bool:
    return address.version == 4 and int(address) == 0xFFFF_FFFF


def _is_link_local_multicast(address: _Parsed) -> bool:
    if address.version == 4:
        return int(address) >> 8 == 0xE0_00_00  # 224.0.0.0/24
    return int(address) >> 120 == 0xFF and int(address) >> 112 & 0xF == 2  # scope 2 of ff00::/8


def _is_link_local(address: _Parsed) -> bool:
    return int(address) >> 16 == 0xA9FE if address.version == 4 else int(address) >> 118 == 0x3FA  # fe80::/10


def _is_global_unicast(address: _Parsed) -> bool:
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or _is_link_local(address)
        or _is_broadcast(address)
    )


def _property(word: str, description: str, example: str, holds: Callable[[_Parsed], bool]) -> None:
    @LIBRARY.function(
        word, f"net.IP.{word}() -> bool", description=description, example=example, operations=20
    )
    def holds_of(address: Value) -> bool:
        require_type(word, address, Address)
        return holds(address.plain)


_property(
    "isUnspecified", "True for 0.0.0.0 and ::.", "ip('::').isUnspecified()", lambda each: each.is_unspecified
)
_property(
    "isLoopback",
    "True for 127.0.0.0/8 and ::1.",
    "ip('127.0.0.1').isLoopback()",
    lambda each: each.is_loopback,
)
_property(
    "isLinkLocalMulticast",
    "True for 224.0.0.0/24 and ff02::/16.",
    "ip('ff02::1').isLinkLocalMulticast()",
    _is_link_local_multicast,
)
_property(
    "isLinkLocalUnicast",
    "True for 169.254.0.0/16 and fe80::/10.",
    "ip('169.254.169.254').isLinkLocalUnicast()",
    _is_link_local,
)
_property(
    "isGlobalUnicast",
    "True for an address of one interface that is valid beyond its link, private ones included.",
    "ip('192.168.0.1').isGlobalUnicast()",
    _is_global_unicast,
)


@LIBRARY.function(
    "cidr",
    "cidr(string) -> net.CIDR",
    description="The CIDR block that a text is.",
    example="cidr('192.168.0.0/24').prefixLength() == 24",
    cost=READING,
    operations=60,
)
def cidr(text: Value) -> Block:
    """Return `cidr(text)`."""
    require_type("cidr", text, str)
    return _block("cidr", text)


@LIBRARY.function(
    "isCIDR",
    "isCIDR(string) -> bool",
    description="True if a text is a CIDR block.",
    example="isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0/33')",
    cost=READING,
    operations=60,
)
def is_cidr(text: Value) -> bool:
    """Return `isCIDR(text)`."""
    require_type("isCIDR", text, str)
    return _parse_block(text) is not None


@LIBRARY.function(
    "containsIP",
    "net.CIDR.containsIP(net.IP) -> bool",
    "net.CIDR.containsIP(string) -> bool",
    description="True if the address is in the block.",
    example="cidr('10.0.0.0/8').containsIP('10.1.2.3')",
    cost=READING,
    operations=60,
)
def contains_ip(block: Value, address: Value) -> bool:
    """Return `block.containsIP(address)`."""
    if not isinstance(block, Block) or not isinstance(address, (Address, str)):
        raise no_overload("containsIP", block, address)
    return block.holds(_address("containsIP", address).address)


@LIBRARY.function(
    "containsCIDR",
    "net.CIDR.containsCIDR(net.CIDR) -> bool",
    "net.CIDR.containsCIDR(string) -> bool",
    description="True if all addresses of the other block are in the block.",
    example="cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
    cost=READING,
    operations=60,
)
def contains_cidr(block: Value, other: Value) -> bool:
    """Return `block.containsCIDR(other)`."""
    if not isinstance(block, Block) or not isinstance(other, (Block, str)):
        raise no_overload("containsCIDR", block, other)
    inner = _block("containsCIDR", other)
    return block.length <= inner.length and block.holds(inner.address.address)


@LIBRARY.function(
    "masked",
    "net.CIDR.masked() -> net.CIDR",
    description="The block, written with its first address.",
    example="cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')",
    operations=40,
)
def masked(block: Value) -> Block:
    """Return `block.masked()`."""
    require_type("masked", block, Block)
    return Block(Address(block.first), block.length)


@LIBRARY.function(
    "prefixLength",
    "net.CIDR.prefixLength() -> int",
    description="The number of bits that all addresses of the block have in common.",
    example="cidr('2001:db8::/32').prefixLength() == 32",
)
def prefix_length(block: Value) -> int:
    """Return `block.prefixLength()`."""
    require_type("prefixLength", block, Block)
    return int(block.length)
