"""Weights & Biases without prompting: online if there is a key, otherwise files for a later `wandb sync`, or off."""

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
# Values of WANDB_MODE; "dryrun" is the old name of "offline".
MODES: Mapping[str, Mode] = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


def key_source(environment: Mapping[str, str] = os.environ) -> str | None:
    """Where wandb would find a key, in its own order, or None; the key itself is never returned."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        if environment.get(name):
            return name
    settings = _settings_file(environment)
    host = urlsplit(environment.get("WANDB_BASE_URL") or settings.get("base_url") or PUBLIC_SERVER).hostname or ""
    if _in_netrc(_netrc_file(environment), host):
        return str(_netrc_file(environment))
    return "wandb's settings" if settings.get("api_key") else None


def choose_mode(setting: str, environment: Mapping[str, str] = os.environ) -> Mode:
    """The mode of a run: WANDB_MODE overrides training.wandb_mode; `auto` is online if there is a key, else offline.

    Raises ConfigError for online without a key.
    """
    if environment.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes"):
        return "disabled"
    name = environment.get("WANDB_MODE") or setting
    if name == "auto":
        return "online" if key_source(environment) else "offline"
    if name not in MODES:
        raise ConfigError(f"WANDB_MODE is {name!r}: set it to online, offline or disabled, or unset it.")
    if MODES[name] == "online" and key_source(environment) is None:
        raise ConfigError(
            "Weights & Biases is set to online, but no key was found: log in with `wandb login`, set WANDB_API_KEY, or "
            "set training.wandb_mode=offline."
        )
    return MODES[name]


def prepare_wandb(setting: str, folder: Path) -> bool:
    """Set wandb's environment variables, with its files under `folder`; False if it is disabled."""
    mode = choose_mode(setting)
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
    default, alternative = _home(environment) / ".netrc", _home(environment) / "_netrc"
    return alternative if alternative.exists() and not default.exists() else default


def _in_netrc(file: Path, host: str) -> bool:
    try:
        found = netrc.netrc(file).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return False
    return bool(found and found[2])


def _settings_file(environment: Mapping[str, str]) -> dict[str, str]:
    """The default section of wandb's settings file; empty if the file is missing or unreadable."""
    folder = environment.get("WANDB_CONFIG_DIR") or _home(environment) / ".config" / "wandb"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(Path(folder) / "settings", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}
    return dict(parser["default"]) if parser.has_section("default") else {}
