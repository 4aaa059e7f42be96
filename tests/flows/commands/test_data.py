import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import rsvlm

from tasks.files import read_json

SETS = ("data_train.json", "data_val.json", "data_test.json")


def record(source: str, number: int) -> dict:
    turns = [{"from": "human", "value": "<image>\nIs there a road?"}, {"from": "gpt", "value": "yes"}]
    return {"id": f"{source}_{number}", "image": f"{source}/{number}.jpg", "conversations": turns}


@pytest.fixture
def raw(tmp_path) -> Path:
    records = [record(source, number) for number in range(20) for source in ("NWPU", "LR", "UCM")]
    path = tmp_path / "raw.json"
    path.write_text(json.dumps(records))
    return path


def test_filter_keeps_the_default_sources_and_prints_dropped_records(raw, tmp_path, capsys):
    assert rsvlm("data", "filter", raw, tmp_path / "kept.json") == 0
    assert read_json(tmp_path / "kept.json") == [r for r in read_json(raw) if not r["id"].startswith("UCM")]
    output = capsys.readouterr().out
    assert "NWPU 20, LR 20 (written)" in output and "dropped 20: source UCM not selected" in output


def test_filter_keeps_the_chosen_sources(raw, tmp_path):
    assert rsvlm("data", "filter", raw, tmp_path / "kept.json", "--sources", "UCM") == 0
    manifest = read_json(tmp_path / "kept.manifest.json")
    assert manifest["kept"] == {"UCM": 20}
    assert manifest["dropped"] == {"source NWPU not selected": 20, "source LR not selected": 20}


def test_split_writes_three_sets(raw, tmp_path):
    assert rsvlm("data", "split", raw, tmp_path / "sets") == 0
    assert [len(read_json(tmp_path / "sets" / name)) for name in SETS] == [42, 6, 12]
    assert read_json(tmp_path / "sets" / "data_test.manifest.json")["kept"] == {"NWPU": 4, "LR": 4, "UCM": 4}


def test_split_by_the_reference_protocol_reports_lost_records(raw, tmp_path, capsys):
    shares = ("--train", "0.77", "--test", "0.23", "--protocol", "reference")
    assert rsvlm("data", "split", raw, tmp_path / "sets", *shares) == 0
    assert "dropped 3: left over by the reference protocol" in capsys.readouterr().out


def test_reduce_keeps_a_share(raw, tmp_path):
    assert rsvlm("data", "reduce", raw, tmp_path / "part.json", "--ratio", "0.3") == 0
    assert read_json(tmp_path / "part.manifest.json")["kept"] == {"NWPU": 6, "LR": 6, "UCM": 6}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--archive=NWPUU=a.zip", "error: NWPUU is not a known source: did you mean NWPU?"),
        ("--archive=NWPU={0}/none.zip", "error: {0}/none.zip does not exist: give the path of an archive or a folder."),
        ("--mirror=instructions={0}/none.json#md5=0", "error: {0}/none.json does not exist: give"),
        (
            "--archive=NWPU=gopher://host/a.zip",
            "error: gopher://host/a.zip is not a supported URL: use https",
        ),
    ],
)
def test_fetch_refuses_a_wrong_name_or_path_before_a_server_is_started(tmp_path, given, message):
    command = [sys.executable, "-X", "importtime", "-m", "flows.cli", "data", "fetch", "--root", str(tmp_path / "data")]
    ended = subprocess.run([*command, given.format(tmp_path)], capture_output=True, text=True)
    assert ended.returncode == 2 and message.format(tmp_path) in ended.stderr
    assert not re.search(r"\| +prefect$", ended.stderr, re.MULTILINE) and not (tmp_path / "data").exists()


COMMANDS = {
    "filter": lambda raw, out: ("data", "filter", raw, out / "kept.json"),
    "split": lambda raw, out: ("data", "split", raw, out),
    "reduce": lambda raw, out: ("data", "reduce", raw, out / "part.json", "--ratio", "0.5"),
}


@pytest.fixture(params=sorted(COMMANDS))
def command(request, raw, tmp_path):
    return COMMANDS[request.param](raw, tmp_path / "out")


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_repeated_command_keeps_its_files_and_says_so(command, tmp_path, capsys):
    assert rsvlm(*command) == 0
    before = times(tmp_path / "out")
    assert rsvlm(*command) == 0
    assert times(tmp_path / "out") == before
    assert "kept: already written" in capsys.readouterr().out


def test_files_of_another_input_are_not_overwritten(command, raw, tmp_path, capsys):
    assert rsvlm(*command) == 0
    before = times(tmp_path / "out")
    raw.write_text(json.dumps(read_json(raw)[:30]))
    assert rsvlm(*command) == 2
    assert times(tmp_path / "out") == before
    assert "give another name, or move it away" in capsys.readouterr().err


def damaged(records: list[dict]) -> str:
    return json.dumps(records)[:-40]


def without_turns(records: list[dict]) -> str:
    records[5].pop("conversations")
    return json.dumps(records)


@pytest.mark.parametrize("damage", [damaged, without_turns, lambda records: '{"records": 3}'])
def test_invalid_input_exits_with_2_and_leaves_nothing(command, raw, tmp_path, capsys, damage):
    raw.write_text(damage(read_json(raw)))
    assert rsvlm(*command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_split_names_a_record_without_image(raw, tmp_path, capsys):
    records = read_json(raw)
    records[5].pop("image")
    raw.write_text(json.dumps(records))
    assert rsvlm("data", "split", raw, tmp_path / "out") == 2
    assert "record 6 (id 'UCM_1') has no image" in capsys.readouterr().err


def test_missing_file_exits_with_2(tmp_path, capsys):
    assert rsvlm("data", "filter", tmp_path / "none.json", tmp_path / "out.json") == 2
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize("sources", ["", "NWPU,RSICDD", "DOTA"])
def test_empty_or_unknown_sources_exit_with_2(raw, tmp_path, sources):
    assert rsvlm("data", "filter", raw, tmp_path / "out.json", "--sources", sources) == 2
    assert not (tmp_path / "out.json").exists()


def test_shares_and_ratios_out_of_bounds_exit_with_2(raw, tmp_path):
    assert rsvlm("data", "split", raw, tmp_path / "out", "--train", "0.9", "--test", "0.2") == 2
    assert rsvlm("data", "reduce", raw, tmp_path / "part.json", "--ratio", "0") == 2


@pytest.mark.parametrize("name", ["data_test.json", "data_test.manifest.json"])
def test_split_writes_nothing_where_one_file_exists(raw, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("[]")
    assert rsvlm("data", "split", raw, tmp_path / "out") == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_interrupted_split_is_completed(raw, tmp_path):
    assert rsvlm("data", "split", raw, tmp_path / "out") == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "data_val.json").unlink()
    (tmp_path / "out" / "data_test.manifest.json").unlink()
    assert rsvlm("data", "split", raw, tmp_path / "out") == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == whole
