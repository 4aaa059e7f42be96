"""Under which names the page may be asked for: neither another web site nor a rebound name uses a visitor's login."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "::1", "localhost")
WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound
# what a browser says of a request that another site makes, where it sends no Origin
FOREIGN_SITES = (b"cross-site", b"same-site")


class Hosts:
    """The names of this server: loopback, the address that it listens at, and those that were allowed."""

    def __init__(self, host: str, allowed: Iterable[str] = ()):
        self._origins = {name.lower() for name in allowed}
        names = {name.lower() for name in (*LOOPBACK, host)}
        self._names = names | {urlsplit(f"//{name}").hostname or name for name in self._origins}
        # a page that is asked for by a number was not asked for by a name that somebody else resolves
        self._takes_addresses = host in WILDCARDS
        if self._takes_addresses:
            self._names.add(socket.gethostname().lower())

    def refusal_of(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Why a request with these headers is refused, in a sentence; None where it is not."""
        found = list(headers)
        hosts = [value for name, value in found if name == b"host"]
        if len(hosts) != 1 or not self._is_own(hosts[0].decode("latin-1")):
            return "This server is not known by that name: start it with --allow-host NAME."
        origins = [value.decode("latin-1") for name, value in found if name == b"origin"]
        if any(not self._is_own_origin(origin, hosts[0].decode("latin-1")) for origin in origins):
            return "Another web site may not use this server: start it with --allow-host NAME if it may."
        return self._refusal_of_site({} if origins else dict(found))

    def _is_own(self, host: str) -> bool:
        name = _name_in(f"//{host}")
        return name is not None and (name in self._names or (self._takes_addresses and _is_address(name)))

    def _is_own_origin(self, origin: str, host: str) -> bool:
        scheme, _, rest = origin.lower().partition("://")
        return scheme in ("http", "https") and (rest == host.lower() or rest in self._origins)

    def _refusal_of_site(self, headers: Mapping[bytes, bytes]) -> str | None:
        # a link on another site may lead here; an image, a script or a form of another site may not
        foreign = headers.get(b"sec-fetch-site") in FOREIGN_SITES and headers.get(b"sec-fetch-mode") != b"navigate"
        return "Another web site may not use this server." if foreign else None


def _name_in(address: str) -> str | None:
    try:
        parts = urlsplit(address)
        # raises where it is no number
        _ = parts.port
    except ValueError:
        return None
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    return parts.hostname if plain else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
