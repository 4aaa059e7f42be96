import pytest
from support.chat_server import MODEL

from tasks.preflight.service_checks import engine_findings
from tasks.settings import InferenceConfig


@pytest.fixture
def found(chat_server):
    """The finding about a server with some settings."""

    def check(**api):
        values = {"base_url": chat_server.base_url, "model": MODEL, **api}
        (finding,) = engine_findings(InferenceConfig.model_validate({"engine": "openai", "api": values}))
        return finding

    return check


def test_a_server_that_lists_the_model_is_fine_and_is_asked_no_question(found, chat_server):
    assert found().level == "ok" and chat_server.asked == []


def test_a_wrong_key_is_an_error_and_not_shown(found, chat_server, monkeypatch):
    chat_server.acts.key = "right"
    assert (found().level, "needs a key" in found().text) == ("stops", True)
    monkeypatch.setenv("RSVLM_API_KEY", "wr0ng")
    finding = found()
    assert finding.level == "stops" and "does not accept the key" in finding.text and "wr0ng" not in finding.text
    monkeypatch.setenv("RSVLM_API_KEY", "right")
    assert found().level == "ok"


def test_another_model_or_a_server_that_is_not_there_yet_is_a_warning(found):
    finding = found(model="other")
    assert finding.level == "warning" and MODEL in finding.text
    assert found(base_url="http://127.0.0.1:9/v1").level == "warning"
    # /v1/nothing/models is not there
    assert found(base_url="http://127.0.0.1:9").level == "warning"


def test_a_key_that_would_be_sent_unencrypted_is_an_error(found, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    finding = found(base_url="http://node3.invalid/v1")
    assert finding.level == "stops" and "unencrypted" in finding.text
