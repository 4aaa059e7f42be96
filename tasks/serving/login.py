"""The login of the page: user and password from the environment or a file, never from the command line."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from pathlib import Path

from tasks.errors import ConfigError

VARIABLE = "RSVLM_SERVE_LOGIN"
FIRST_WAIT_S, MAX_WAIT_S = 0.25, 30.0
MAX_ADDRESSES, MAX_WAITING = 4096, 64

Login = tuple[str, str]


def read_login(environment: Mapping[str, str], file: Path | None) -> Login | None:
    """User and password from the file, or else from RSVLM_SERVE_LOGIN; None if neither is given.

    Raises ConfigError if they are not written as `user:password`.
    """
    if file is None:
        text = environment.get(VARIABLE)
        return None if text is None else _parse_login(text, VARIABLE)
    try:
        return _parse_login(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read ({error}): write user:password into it.") from None


def _parse_login(text: str, source: str) -> Login:
    user, _, password = text.rstrip("\r\n").partition(":")
    if not user.strip() or not password or "\n" in password:
        # the text itself is not shown: it may be a password
        raise ConfigError(f"{source} holds no login: write it as user:password.")
    return user.strip(), password


@dataclass
class LoginAttempt:
    """One login attempt."""

    succeeded: bool = False


class LoginThrottle:
    """Delays login attempts from addresses with wrong passwords, up to half a minute, one attempt at a time.

    It remembers a bounded number of addresses; an IPv6 /64 network counts as one address.
    """

    def __init__(self, first_wait_s: float = FIRST_WAIT_S):
        self._first_wait_s = first_wait_s
        self._failures: OrderedDict[str, int] = OrderedDict()
        self._waiting: set[str] = set()

    @asynccontextmanager
    async def attempt(self, address: str) -> AsyncIterator[LoginAttempt | None]:
        """Yield an attempt after its delay; None if another attempt of this address, or too many others, wait."""
        source = _network_of(address)
        if source in self._waiting or len(self._waiting) >= MAX_WAITING:
            yield None
            return
        self._waiting.add(source)
        try:
            failures = self._failures.get(source, 0)
            if failures:
                await asyncio.sleep(min(self._first_wait_s * 2 ** min(failures - 1, 16), MAX_WAIT_S))
            attempt = LoginAttempt()
            yield attempt
            self._count(source, attempt.succeeded)
        finally:
            self._waiting.discard(source)

    def _count(self, source: str, succeeded: bool) -> None:
        failures = self._failures.pop(source, 0)
        if not succeeded:
            self._failures[source] = failures + 1
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)


def _network_of(address: str) -> str:
    parsed = ip_address(address) if address else None
    # whoever has one address of such a network can use all of them
    return str(IPv6Network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
