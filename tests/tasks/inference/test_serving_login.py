import pytest

from tasks.errors import ConfigError
from tasks.inference.serving_login import read_login


def test_without_either_nobody_logs_in():
    assert read_login({}, None) is None


def test_a_password_may_hold_colons():
    assert read_login({"RSVLM_SERVE_LOGIN": "ana:a:b"}, None) == ("ana", "a:b")


def test_a_file_goes_before_the_environment(tmp_path):
    (tmp_path / "login").write_text("ana:secret\n")
    assert read_login({"RSVLM_SERVE_LOGIN": "bo:other"}, tmp_path / "login") == ("ana", "secret")


@pytest.mark.parametrize("text", ["", "secret-word", ":secret-word", "ana:", "ana:secret-word\nbo:x"])
def test_what_is_no_login_is_refused_without_showing_it(tmp_path, text):
    (tmp_path / "login").write_text(text)
    with pytest.raises(ConfigError, match="user:password") as error:
        read_login({}, tmp_path / "login")
    assert "secret-word" not in str(error.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_login({}, tmp_path / "nowhere")
