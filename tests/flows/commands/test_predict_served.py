"""`rsvlm predict` asks a served model, and its answers are scored and compared like those of one's own model."""

import json

import pytest
from support.chat_server import MODEL
from support.predictions import images, records

from flows.cli import main
from tasks.files import read_json

__all__ = ["images", "records"]


@pytest.fixture
def predict(chat_server, images, records, tmp_path):
    """Answer the records into a folder; returns the exit code."""
    (tmp_path / "test.json").write_text(json.dumps(records))

    def run(out, *more):
        paths = {"data": tmp_path / "test.json", "images": images, "out": tmp_path / out}
        arguments = [part for option, path in paths.items() for part in (f"--{option}", str(path))]
        return main(["predict", *arguments, *more])

    return run


def served(chat_server, **settings):
    values = {"api.base_url": chat_server.base_url, "api.model": MODEL, **settings}
    sets = [word for name, value in values.items() for word in ("--set", f"inference.{name}={value}")]
    return ["--engine", "openai", *sets]


@pytest.mark.slow
def test_a_served_model_is_answered_scored_and_compared_with_ones_own(predict, chat_server, tmp_path, capsys):
    asked = served(chat_server, **{"api.input_price": 2, "api.output_price": 8})
    assert predict("served", *asked, "--max-new-tokens", "20") == 0
    assert "700 prompt tokens and 21 answer tokens, which cost 0.001568" in capsys.readouterr().err
    assert read_json(tmp_path / "served" / "MANIFEST.json")["details"]["model"] == MODEL
    # the same command again asks nothing
    count = len(chat_server.asked)
    assert predict("served", *asked, "--max-new-tokens", "20") == 0 and len(chat_server.asked) == count

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    own = ["--model", str(tmp_path / "model"), "--engine", "echo", "--max-new-tokens", "20"]
    assert predict("own", *own) == 0
    for name, base in (("served", None), ("own", "served")):
        against = ["--base-predictions", str(tmp_path / base / "final.json")] if base else []
        answers = str(tmp_path / name / "final.json")
        report = str(tmp_path / "reports" / name)
        command = ["evaluate", "--data", str(tmp_path / "test.json"), "--predictions", answers, "--out", report]
        assert main([*command, *against]) == 0
    page = (tmp_path / "reports" / "served" / "report.html").read_text()
    assert f"Answers of the served model <code>{MODEL}</code>" in page
    assert f"served model <code>{MODEL}</code>" in (tmp_path / "reports" / "own" / "report.html").read_text()
    assert main(["compare", str(tmp_path / "reports" / "served"), str(tmp_path / "reports" / "own")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "openai"], "lacks api.base_url"),
        (["--engine", "openai", "--set", "inference.api.base_url=http://h/v1"], "lacks api.model"),
        (["--engine", "echo"], "give its directory as --model"),
        (["--engine", "echo", "--set", "data.root=x"], "only settings of the section inference"),
        (["--engine", "echo", "--set", "inference.api.api_key=s3cret"], "inference.api.api_key is not a setting"),
        (["--engine", "openai", "--set", "inference.api.base_url=http://me:s3cret@h/v1"], "without credentials"),
    ],
)
def test_a_wrong_setting_is_one_sentence_without_secrets(predict, capsys, tmp_path, arguments, message):
    assert predict("out", *arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed and "s3cret" not in printed and not (tmp_path / "out").exists()


def test_a_model_directory_and_an_adapter_are_refused(predict, chat_server, capsys, tmp_path):
    (tmp_path / "model").mkdir()
    assert predict("out", *served(chat_server), "--model", str(tmp_path / "model")) == 2
    assert "leave out --model" in capsys.readouterr().err
    assert predict("out", *served(chat_server), "--adapter", str(tmp_path / "model")) == 2
    assert "leave out the adapter" in capsys.readouterr().err
    assert chat_server.asked == []


def test_options_win_over_settings(predict, chat_server):
    assert predict("out", *served(chat_server, max_new_tokens=7, equality_sample=0), "--max-new-tokens", "9") == 0
    assert {asked.body["max_tokens"] for asked in chat_server.asked} == {9}
