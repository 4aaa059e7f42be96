"""Addresses without secrets in them: what is secret is referred to as ${NAME} and read where a request is made.

Addresses are settings: they travel as parameters of flows, into Prefect's database, logs and manifests.
"""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from tasks.errors import ConfigError

ANY_ADDRESS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")

REFERENCE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
# what these say is which file is meant; any other parameter may be a token or a signature
_PLAIN_NAMES = (
    "id|export|confirm|download|dl|raw|format|file|filename|files|name|path|persistentId|version|revision|ref"
    "|cid|resid|usp"
)
_PARAMETER = rf"(?:(?:{_PLAIN_NAMES})(?:=[^&#]*)?|[^&#=]+=(?:{REFERENCE})+|{REFERENCE})"
# A path, or an address whose login, query and fragment hold no more than references. Also the pattern of the JSON
# schema, by which Prefect's server refuses an address before it is stored.
PLAIN_ADDRESS = (
    rf"^(?:(?![hH][tT][tT][pP][sS]?:|[A-Za-z][A-Za-z0-9+.\-]*://)[\s\S]*|[A-Za-z][A-Za-z0-9+.\-]*://"
    rf"(?:(?:[^/?#@:]*:)?{REFERENCE}@)?[^/?#@]*(?:/[^?#]*)?(?:\?{_PARAMETER}(?:&{_PARAMETER})*)?"
    r"(?:#(?:sha256|md5)=[0-9a-fA-F]+)?)$"
)
_IS_PLAIN = re.compile(PLAIN_ADDRESS)


def require_no_secret(address: str) -> str:
    """The address; raises ValueError, which does not repeat it, where a login or its query may be a secret."""
    if not _IS_PLAIN.match(address):
        raise ValueError(
            f"{without_secrets(address)} is given with a login, a query or a fragment that may be secret: put that "
            "into an environment variable where the run works, and write '${NAME}' in its place"
        )
    return address


def resolved(address: str, environment: Mapping[str, str] = os.environ) -> str:
    """The address with the value of each variable that it refers to; never to be stored, logged or raised.

    Raises ConfigError for a variable that is not set.
    """

    def value_of(found: re.Match[str]) -> str:
        name = found[0][2:-1]
        value = environment.get(name)
        if not value:
            raise ConfigError(
                f"{found[0]}, which an address refers to, is not set: set the environment variable {name} where "
                "the run works."
            )
        return value

    return re.sub(REFERENCE, value_of, address)


def without_secrets(address: str) -> str:
    """An address as it may be shown: without login, query and fragment."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "the address"
    # a path, with a drive's letter perhaps
    if len(parts.scheme) < 2:
        return address
    if parts.scheme in ("http", "https") and not parts.netloc:
        return "the address"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def scrubbed(text: str) -> str:
    """A text of somebody else's, an error say, with each address in it as it may be shown."""
    return ANY_ADDRESS.sub(lambda found: without_secrets(found[0]), text)
