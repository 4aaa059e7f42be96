import pytest
from pydantic import ValidationError

from deployments.configuration import load_config
from tasks.errors import ConfigError
from tasks.settings import ApiConfig, InferenceConfig

API = {"base_url": "http://localhost:8000/v1", "model": "m"}


@pytest.mark.parametrize(
    "address",
    [
        "http://me:pw@host/v1",
        "http://key@host/v1",
        "https://host/v1?key=s3cret",
        "https://host/v1#s3cret",
        "ftp://host/",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(address):
    with pytest.raises(ConfigError) as raised:
        load_config("demo", [f"inference.api.base_url={address}"])
    assert not any(secret in str(raised.value) for secret in ("pw", "key@", "s3cret"))


@pytest.mark.parametrize("name", ["api_key", "key", "Authorization", "model", "messages", "stream", "n"])
def test_extra_fields_replace_no_setting_and_hold_no_key(name):
    with pytest.raises(ValidationError, match=name) as raised:
        ApiConfig.model_validate({"extra": {name: "s3cret"}})
    assert "s3cret" not in str(raised.value.errors()[0]["msg"])


def test_extra_fields_may_leave_out_what_a_model_refuses_but_not_set_it():
    assert ApiConfig(extra={"temperature": None}).extra == {"temperature": None}
    with pytest.raises(ValidationError, match="temperature"):
        ApiConfig(extra={"temperature": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"api": {"model": "m"}}, r"lacks api\.base_url"),
        ({"api": {"base_url": API["base_url"]}}, r"lacks api\.model"),
        ({"workers": 2}, "leave inference.workers at 1"),
        ({"ray_address": "auto"}, "ray_address"),
    ],
)
def test_a_served_model_is_named_and_asked_by_one_process(change, message):
    with pytest.raises(ValidationError, match=message):
        InferenceConfig.model_validate({"engine": "openai", "api": API, **change})


def test_only_what_decides_the_answers_is_content():
    plain = InferenceConfig.model_validate({"engine": "openai", "api": API})
    api = {**API, "base_url": "https://other/v1", "concurrency": 3, "retries": 1, "timeout_s": 9, "input_price": 1}
    assert InferenceConfig.model_validate({"engine": "openai", "api": api}).content == plain.content
    assert plain.content["api.model"] == "m"
    for change in ({"revision": "2"}, {"image_detail": "low"}, {"extra": {"a": 1}}):
        changed = InferenceConfig.model_validate({"engine": "openai", "api": {**API, **change}})
        assert changed.content != plain.content


def test_models_of_a_run_are_answered_by_the_default_engine_and_share_its_answers():
    served = InferenceConfig.model_validate({"engine": "openai", "api": API})
    assert served.for_own_model() == InferenceConfig()
    assert "api.model" not in InferenceConfig.model_validate({"api": API}).content


@pytest.mark.parametrize("address", ["http://[bad/v1", "http://host:99999/v1", "http://host:port/v1"])
def test_an_impossible_address_is_refused(address):
    with pytest.raises(ConfigError, match=r"inference\.api\.base_url: it has no valid host or port"):
        load_config("demo", [f"inference.api.base_url={address}"])
