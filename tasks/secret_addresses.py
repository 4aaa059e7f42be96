"""Keep secrets out of addresses: settings refer to them as ${NAME}, which is replaced only when a request is sent.

Addresses are settings, and so parameters of flows: they get into Prefect's database, logs and manifests.
"""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from tasks.errors import ConfigError

ANY_ADDRESS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")

REFERENCE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
# query parameters that only choose a file; any other may be a token or a signature
_PLAIN_NAMES = (
    "id|export|confirm|download|dl|raw|format|file|filename|files|name|path|persistentId|version|revision|ref"
    "|cid|resid|usp"
)
_PARAMETER = rf"(?:(?:{_PLAIN_NAMES})(?:=[^&#]*)?|[^&#=]+=(?:{REFERENCE})+|{REFERENCE})"
# A path, or an address whose login, query and fragment contain only references. It is also the pattern in the JSON
# schema, by which Prefect's server refuses an address before it stores it.
PLAIN_ADDRESS = (
    rf"^(?:(?![hH][tT][tT][pP][sS]?:|[A-Za-z][A-Za-z0-9+.\-]*://)[\s\S]*|[A-Za-z][A-Za-z0-9+.\-]*://"
    rf"(?:(?:[^/?#@:]*:)?{REFERENCE}@)?[^/?#@]*(?:/[^?#]*)?(?:\?{_PARAMETER}(?:&{_PARAMETER})*)?"
    r"(?:#(?:sha256|md5)=[0-9a-fA-F]+)?)$"
)
_IS_PLAIN = re.compile(PLAIN_ADDRESS)


def require_no_secret(address: str) -> str:
    """Return the address; raises ValueError, which does not repeat it, if its login or query may be a secret."""
    if not _IS_PLAIN.match(address):
        raise ValueError(
            f"{without_secrets(address)} has a login, a query or a fragment that may be secret: put that into an "
            "environment variable on the machine of the run, and write '${NAME}' instead"
        )
    return address


def resolved(address: str, environment: Mapping[str, str] = os.environ) -> str:
    """The address with each ${NAME} replaced by the variable's value; never store, log or raise the result.

    Raises ConfigError if a variable is not set.
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
    """An address without login, query and fragment, for messages."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "the address"
    # a path, perhaps with a drive letter
    if len(parts.scheme) < 2:
        return address
    if parts.scheme in ("http", "https") and not parts.netloc:
        return "the address"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def scrubbed(text: str) -> str:
    """A foreign text, such as an error message, with the secrets removed from each address in it."""
    return ANY_ADDRESS.sub(lambda found: without_secrets(found[0]), text)
