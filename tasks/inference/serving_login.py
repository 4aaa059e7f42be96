"""Who may use the page: a user and a password from the environment or a file, never from the command line."""

from collections.abc import Mapping
from pathlib import Path

from tasks.errors import ConfigError

VARIABLE = "RSVLM_SERVE_LOGIN"

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
