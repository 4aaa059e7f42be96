"""The key of a served model: from the environment alone, never sent where others can read it, never shown."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from tasks.errors import ConfigError
from tasks.secret_addresses import scrubbed

OWN, COMMON = "RSVLM_API_KEY", "OPENAI_API_KEY"
HIDDEN = "***"
PRINTABLE = re.compile(r"[\x21-\x7e]+")
# what providers' keys look like: their messages repeat parts of a wrong one
LIKE_A_KEY = re.compile(r"\b(sk|pk|gsk|xai|hf|key)[-_][\w*.\-]{6,}")
MESSAGE_CHARACTERS = 300


def read_api_key(base_url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key to send to a server; None if no variable is set or RSVLM_API_KEY is empty.

    Raises ConfigError, which does not repeat the key, for a key that no header can hold, and if OPENAI_API_KEY, which
    may be meant for another server, would be sent unencrypted over a network.
    """
    name = OWN if OWN in environment else COMMON
    key = environment.get(name, "").strip()
    if not key:
        return None
    if not PRINTABLE.fullmatch(key):
        raise ConfigError(f"{name} has white space or letters that no key has: set it again.")
    if name == COMMON and not _is_private(base_url):
        raise ConfigError(
            f"{COMMON} would be sent unencrypted to {base_url}: use an https address, or set {OWN}, which may be "
            "empty for a server without keys."
        )
    return key


def without_key(text: str, key: str | None) -> str:
    """A server's message on one line, shortened, without the key and without secrets in its addresses."""
    plain = text.replace(key, HIDDEN) if key else text
    line = " ".join(LIKE_A_KEY.sub(HIDDEN, scrubbed(plain)).split())
    return line if len(line) <= MESSAGE_CHARACTERS else f"{line[:MESSAGE_CHARACTERS]}..."


def _is_private(base_url: str) -> bool:
    """Whether nobody on a network can read what is sent to an address."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    try:
        return parts.scheme == "https" or ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
