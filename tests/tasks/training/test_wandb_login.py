"""Weights & Biases never prompts: it is online if there is a key, otherwise it writes files or nothing."""

import os
from pathlib import Path

import pytest

from tasks.errors import ConfigError
from tasks.training.wandb_login import choose_mode, key_source, prepare_wandb

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine where nobody has logged in."""
    return {"HOME": str(tmp_path)}


def test_without_a_key_curves_are_saved_as_files(home: dict[str, str]) -> None:
    assert key_source(home) is None
    assert choose_mode("auto", home) == "offline"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".netrc", f"machine api.wandb.ai\n  login user\n  password {KEY}\n"),
        (".config/wandb/settings", f"[default]\napi_key = {KEY}\n"),
    ],
)
def test_key_in_wandb_files_means_online(home: dict[str, str], file: str, text: str) -> None:
    path = Path(home["HOME"]) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    assert choose_mode("auto", home) == "online"
    assert KEY not in str(key_source(home))


def test_key_in_the_environment_means_online(home: dict[str, str]) -> None:
    assert choose_mode("auto", {**home, "WANDB_API_KEY": KEY}) == "online"
    assert key_source({**home, "WANDB_API_KEY": KEY}) == "WANDB_API_KEY"


def test_netrc_of_another_server_or_a_broken_one_has_no_key(home: dict[str, str]) -> None:
    netrc = Path(home["HOME"]) / ".netrc"
    netrc.write_text(f"machine example.org\n  login user\n  password {KEY}\n")
    assert key_source(home) is None
    assert key_source({**home, "WANDB_BASE_URL": "https://example.org"}) == str(netrc)
    netrc.write_text("machine\nmachine password")
    assert key_source(home) is None


def test_environment_overrides_the_setting(home: dict[str, str]) -> None:
    with_key = {**home, "WANDB_API_KEY": KEY}
    assert choose_mode("online", {**with_key, "WANDB_MODE": "offline"}) == "offline"
    assert choose_mode("auto", {**with_key, "WANDB_MODE": "dryrun"}) == "offline"
    assert choose_mode("auto", {**with_key, "WANDB_DISABLED": "true"}) == "disabled"
    assert choose_mode("offline", with_key) == "offline"


def test_online_without_a_key_is_refused_before_training(home: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="wandb login"):
        choose_mode("online", home)
    with pytest.raises(ConfigError, match="'loud': set it to online"):
        choose_mode("auto", {**home, "WANDB_MODE": "loud"})


def test_wandb_files_are_in_the_given_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert prepare_wandb("disabled", tmp_path / "none") is False
    assert not (tmp_path / "none").exists()
    assert prepare_wandb("offline", tmp_path / "logs") is True
    assert (os.environ["WANDB_MODE"], os.environ["WANDB_DIR"]) == ("offline", str(tmp_path / "logs"))
    assert (tmp_path / "logs").is_dir()
