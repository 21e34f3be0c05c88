"""Which IP addresses are on the public internet, also those that embed another address."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address

# Counted as global by the registry or by older Pythons, but not public hosts; in addition to `is_global`.
_SPECIAL_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "192.0.0.0/24",  # IETF protocol assignments; a cloud's metadata service lives here
            "192.88.99.0/24",  # 6to4 relays, deprecated by RFC 7526
            "168.63.129.16/32",  # a cloud's own host agent, reachable from its machines only
        ),
    )
)
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")  # all that is assigned to hosts
_SPECIAL_V6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo (an IPv4 address inside), ORCHID, benchmarking
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, an IPv4 address inside; deprecated by RFC 7526
            "3fff::/20",  # documentation, RFC 9637
        ),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits


def is_public(text: str) -> bool:
    """Return True if this IPv4 or IPv6 address may belong to a public host."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return _is_public_v4(address) if isinstance(address, IPv4Address) else _is_public_v6(address)


def _is_public_v4(address: IPv4Address) -> bool:
    is_special = any(address in network for network in _SPECIAL_V4)
    return address.is_global and not address.is_multicast and not address.is_reserved and not is_special


def _is_public_v6(address: IPv6Address) -> bool:
    if address.ipv4_mapped is not None:
        return _is_public_v4(address.ipv4_mapped)
    if address in _NAT64:  # how a machine with IPv6 alone reaches IPv4 hosts
        return _is_public_v4(IPv4Address(address.packed[-4:]))
    is_special = any(address in network for network in _SPECIAL_V6)
    return address in _UNICAST_V6 and address.is_global and not address.scope_id and not is_special
