"""The host names under which the page answers, so that no other web site and no rebound DNS name can use a login."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "::1", "localhost")
WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound
# values of Sec-Fetch-Site for requests that another site makes; browsers send it where they send no Origin
FOREIGN_SITES = (b"cross-site", b"same-site")


class Hosts:
    """The names of this server: loopback, the address that it listens on, and the allowed names."""

    def __init__(self, host: str, allowed: Iterable[str] = ()):
        self._origins = {name.lower() for name in allowed}
        names = {name.lower() for name in (*LOOPBACK, host)}
        self._names = names | {urlsplit(f"//{name}").hostname or name for name in self._origins}
        # nobody else can make a numeric address resolve to this server
        self._accepts_addresses = host in WILDCARDS
        if self._accepts_addresses:
            self._names.add(socket.gethostname().lower())

    def reason_to_refuse(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Why a request with these headers is refused, as a sentence; None if it is accepted."""
        found = list(headers)
        hosts = [value for name, value in found if name == b"host"]
        if len(hosts) != 1 or not self._is_own_host(hosts[0].decode("latin-1")):
            return "This server does not answer under that name: start it with --allow-host NAME."
        origins = [value.decode("latin-1") for name, value in found if name == b"origin"]
        if any(not self._is_own_origin(origin, hosts[0].decode("latin-1")) for origin in origins):
            return "Another web site may not use this server: start it with --allow-host NAME if it may."
        return _foreign_site({} if origins else dict(found))

    def _is_own_host(self, host: str) -> bool:
        name = _host_name(f"//{host}")
        return name is not None and (name in self._names or (self._accepts_addresses and _is_address(name)))

    def _is_own_origin(self, origin: str, host: str) -> bool:
        scheme, _, rest = origin.lower().partition("://")
        return scheme in ("http", "https") and (rest == host.lower() or rest in self._origins)


def _foreign_site(headers: Mapping[bytes, bytes]) -> str | None:
    # another site may link to this one, but not embed its images, scripts or forms
    foreign = headers.get(b"sec-fetch-site") in FOREIGN_SITES and headers.get(b"sec-fetch-mode") != b"navigate"
    return "Another web site may not use this server." if foreign else None


def _host_name(address: str) -> str | None:
    """The host of `//HOST[:PORT]`; None if the address has any other part."""
    try:
        parts = urlsplit(address)
        # raises if it is not a number
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
