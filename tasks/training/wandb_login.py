"""Weights & Biases without a question: online where a key is, else files for a later `wandb sync`, or nothing."""

import configparser
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from tasks.errors import ConfigError

Mode = Literal["online", "offline", "disabled"]
PUBLIC_SERVER = "https://api.wandb.ai"
PROJECT = "rsvlm"
# What WANDB_MODE may also say; "dryrun" is the old word for it.
MODES: Mapping[str, Mode] = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


def key_source(environment: Mapping[str, str] = os.environ) -> str | None:
    """Where wandb would find a key, in its own order; None where there is none. The key itself is never given."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        if environment.get(name):
            return name
    settings = _settings_file(environment)
    host = urlsplit(environment.get("WANDB_BASE_URL") or settings.get("base_url") or PUBLIC_SERVER).hostname or ""
    if _in_netrc(_netrc_file(environment), host):
        return str(_netrc_file(environment))
    return "wandb's settings" if settings.get("api_key") else None


def choose_mode(asked: str, environment: Mapping[str, str] = os.environ) -> Mode:
    """The mode of a run: WANDB_MODE before training.wandb_mode, and `auto` by whether there is a key.

    Raises ConfigError where it is to be online and no key is found.
    """
    if environment.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes"):
        return "disabled"
    said = environment.get("WANDB_MODE") or asked
    if said == "auto":
        return "online" if key_source(environment) else "offline"
    if said not in MODES:
        raise ConfigError(f"WANDB_MODE is {said!r}: set it to online, offline or disabled, or not at all.")
    if MODES[said] == "online" and key_source(environment) is None:
        raise ConfigError(
            "Weights & Biases is to be online, but no key is found: log in with `wandb login`, set WANDB_API_KEY, or "
            "set training.wandb_mode=offline."
        )
    return MODES[said]


def prepare_wandb(asked: str, folder: Path) -> bool:
    """Set wandb's environment, its files below `folder`; False where nothing is to be reported."""
    mode = choose_mode(asked)
    if mode == "disabled":
        return False
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(WANDB_MODE=mode)
    os.environ.setdefault("WANDB_DIR", str(folder))
    os.environ.setdefault("WANDB_PROJECT", PROJECT)
    return True


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME") or Path.home())


def _netrc_file(environment: Mapping[str, str]) -> Path:
    if named := environment.get("NETRC"):
        return Path(named).expanduser()
    usual, other = _home(environment) / ".netrc", _home(environment) / "_netrc"
    return other if other.exists() and not usual.exists() else usual


def _in_netrc(file: Path, host: str) -> bool:
    try:
        found = netrc.netrc(file).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return False
    return bool(found and found[2])


def _settings_file(environment: Mapping[str, str]) -> dict[str, str]:
    """The default section of wandb's own settings; none where the file is missing or not readable."""
    folder = environment.get("WANDB_CONFIG_DIR") or _home(environment) / ".config" / "wandb"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(Path(folder) / "settings", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}
    return dict(parser["default"]) if parser.has_section("default") else {}
