"""Which addresses a request may go to: public ones only, whatever a name resolves to.

The address that was checked is the one that is connected to (`wire`), so a name that answers
differently a moment later (DNS rebinding) changes nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(Exception):
    """An address that no request goes to."""


def target(url: str) -> SplitResult:
    """Read where a request is to go.

    Raises:
        Refused: it is not https, names a user, or cannot be read.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("the address cannot be read") from None
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
        raise Refused("only https://host/path is called")
    if port == 0:
        raise Refused("port 0 is nowhere")
    return parts


async def resolve(host: str, port: int, allowed: Sequence[Network] = ()) -> Address:
    """Return the address to connect to.

    Args:
        host: a name or an address.
        port: the TCP port.
        allowed: networks that may be called although they are not public.

    Raises:
        Refused: the name leads to an address that is not public, be it one of several.
        OSError: the name cannot be resolved.
    """
    loop = asyncio.get_running_loop()
    answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in answers]
    for address in addresses:
        if not public(address) and not any(address in network for network in allowed):
            raise Refused(f"{host} leads to {address}, which is not public")
    if not addresses:
        raise OSError(f"{host} has no address")
    return next((a for a in addresses if a.version == 4), addresses[0])


def public(address: Address) -> bool:
    """Say whether an address is on the public internet, also inside of its IPv6 disguises."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is not None:
            return public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved
