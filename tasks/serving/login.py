"""Who may use the page: a user and a password from the environment or a file, never from the command line."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from pathlib import Path

from tasks.errors import ConfigError

VARIABLE = "RSVLM_SERVE_LOGIN"
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0
MAX_ADDRESSES, MAX_WAITING = 4096, 64

Login = tuple[str, str]


def read_login(environment: Mapping[str, str], file: Path | None) -> Login | None:
    """User and password of the file, or else of the variable RSVLM_SERVE_LOGIN; None where neither is given.

    Raises ConfigError when what is given is not `user:password`.
    """
    if file is None:
        text = environment.get(VARIABLE)
        return None if text is None else _parsed(text, VARIABLE)
    try:
        return _parsed(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read ({error}): write user:password into it.") from None


def _parsed(text: str, place: str) -> Login:
    user, _, password = text.rstrip("\r\n").partition(":")
    if not user.strip() or not password or "\n" in password:
        # never the text itself: it may be a password
        raise ConfigError(f"{place} holds no login: write it as user:password.")
    return user.strip(), password


@dataclass
class Attempt:
    """One try at the password."""

    is_right: bool = False


class Slowdown:
    """Wrong passwords make an address wait for its next try, up to half a minute, and only one waits at a time.

    It remembers a bounded number of addresses; a network of IPv6 is one.
    """

    def __init__(self, first_wait_s: float = FIRST_WAIT_S):
        self._first_wait_s = first_wait_s
        self._wrong: OrderedDict[str, int] = OrderedDict()
        self._waiting: set[str] = set()

    @asynccontextmanager
    async def attempt(self, address: str) -> AsyncIterator[Attempt | None]:
        """A try, once it is its turn; None where another of this address, or very many others, still wait."""
        known = _network_of(address)
        if known in self._waiting or len(self._waiting) >= MAX_WAITING:
            yield None
            return
        self._waiting.add(known)
        try:
            wrong = self._wrong.get(known, 0)
            if wrong:
                await asyncio.sleep(min(self._first_wait_s * 2 ** min(wrong - 1, 16), LONGEST_WAIT_S))
            attempt = Attempt()
            yield attempt
            self._note(known, attempt.is_right)
        finally:
            self._waiting.discard(known)

    def _note(self, known: str, is_right: bool) -> None:
        wrong = self._wrong.pop(known, 0)
        if not is_right:
            self._wrong[known] = wrong + 1
        if len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)


def _network_of(address: str) -> str:
    parsed = ip_address(address) if address else None
    # whoever has one address of such a network has all of them
    return str(IPv6Network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
