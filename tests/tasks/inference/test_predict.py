import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from tasks.errors import DataError, ModelError, UserError
from tasks.files import read_json
from tasks.inference.predict import Listener, ProgressLog, predict
from tasks.inference.request import AnswerStore
from tasks.manifests import read_manifest
from tasks.worker_lines import answers_progress

ASKED = ["0:0", "1:0", "1:1", "1:2", "2:0", "3:0", "3:1"]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def logged_keys(folder):
    return [json.loads(line)["key"] for line in (folder / "answers.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.fixture
def done(request_for, records, tmp_path):
    """A finished folder, and its request."""
    request = request_for(records)
    predict(request)
    return tmp_path / "out", request


def test_final_json_is_the_test_set_with_answers_for_the_asked_turns(done, records):
    final = read_json(done[0] / "final.json")
    assert [{**record, "conversations": None} for record in final] == [
        {**record, "conversations": None} for record in records
    ]
    assert [len(record["conversations"]) for record in final] == [2, 6, 2, 4]
    assert final[0]["conversations"][0] == records[0]["conversations"][0]
    assert final[1]["conversations"][3]["value"].endswith("Is there a road?")


def test_subsets_have_stable_names_and_make_up_final_json(done):
    names = ["filter_001_final.json", "filter_002_final.json"]
    assert sorted(path.name for path in (done[0] / "subsets").iterdir()) == names
    parts = [read_json(done[0] / "subsets" / name) for name in names]
    assert parts[0] + parts[1] == read_json(done[0] / "final.json")


def test_every_asked_turn_is_in_the_log_once(done):
    assert logged_keys(done[0]) == ASKED


def test_predict_returns_a_reference_to_the_answers(done):
    reference = predict(done[1])
    assert (reference.path, reference.model, reference.answers) == (done[0], "base", 7)


def test_the_same_request_again_changes_no_file(done):
    before = {path: path.stat().st_mtime_ns for path in done[0].rglob("*")}
    predict(done[1])
    assert {path: path.stat().st_mtime_ns for path in done[0].rglob("*")} == before


@pytest.mark.parametrize("change", [{"subset_size": 1}, *({"config": {"batch_size": size}} for size in (1, 7, None))])
def test_answers_do_not_depend_on_batch_or_subset_size(done, request_for, records, change):
    other = predict(request_for(records, out="other", **change)).path
    for name in ("final.json", "answers.jsonl"):
        assert (other / name).read_bytes() == (done[0] / name).read_bytes()


def test_another_subset_size_rewrites_the_subsets_without_asking(done, request_for, records):
    log = (done[0] / "answers.jsonl").read_bytes()
    predict(request_for(records, subset_size=1), Listener(pytest.fail))
    assert len(list((done[0] / "subsets").iterdir())) == 4
    predict(request_for(records, subset_size=3), Listener(pytest.fail))
    assert len(list((done[0] / "subsets").iterdir())) == 2
    assert (done[0] / "answers.jsonl").read_bytes() == log


@pytest.mark.parametrize("name", ["final.json", "subsets/filter_002_final.json", "MANIFEST.json", "STARTED.json"])
@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_damaged_file_is_written_again_without_asking(done, name, damage):
    whole = contents(done[0])
    if damage == "gone":
        (done[0] / name).unlink()
    else:
        (done[0] / name).write_bytes(whole[name].replace(b"a", b"e") + b" ")
    predict(done[1], Listener(pytest.fail))
    assert contents(done[0]) == whole


@pytest.mark.parametrize("line", [0, 3, 6])
def test_only_a_damaged_answer_is_asked_again(done, line):
    whole = contents(done[0])
    lines = whole["answers.jsonl"].split(b"\n")
    lines[line] = lines[line].replace(b"e", b"o")
    (done[0] / "answers.jsonl").write_bytes(b"\n".join(lines))
    seen = []
    predict(done[1], Listener(lambda answered, asked: seen.append((answered, asked))))
    assert seen == [(6, 7), (7, 7)]
    assert contents(done[0]) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"model_sha256": "1" * 64},
        {"config": {"history": "reference"}},
        {"config": {"max_new_tokens": 5}},
        {"config": {"caption_turns": "all"}},
        {"config": {"transform": "rot90"}},
    ],
)
def test_a_folder_of_another_model_or_setting_is_refused(done, request_for, records, change):
    whole = contents(done[0])
    with pytest.raises(UserError, match="give another --out"):
        predict(request_for(records, **change))
    assert contents(done[0]) == whole


def test_a_folder_of_another_test_set_is_refused(done, request_for, records):
    with pytest.raises(UserError, match="another test set"):
        predict(request_for(records[:2]))


def test_a_folder_of_another_adapter_is_refused(done, request_for, records, tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="another adapter"):
        predict(request_for(records, adapter=tmp_path / "adapter"))


def test_a_changed_image_is_refused(done, images, records):
    shutil.copy(images / records[0]["image"], images / records[2]["image"])
    with pytest.raises(UserError, match=r"beach_1\.png has changed"):
        predict(done[1])


def test_a_folder_with_other_files_is_refused_and_unchanged(request_for, records, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="give another --out"):
        predict(request_for(records))
    assert contents(tmp_path / "out") == {"thesis.txt": b"mine"}


def test_a_file_as_output_folder_is_refused(request_for, records, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        predict(request_for(records))


@pytest.mark.parametrize("damage", ["no image", "cut off", "missing"])
def test_an_unreadable_image_is_reported_after_all_other_answers(done, request_for, records, images, damage):
    path = images / records[1]["image"]
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"not an image" if damage == "no image" else whole[: len(whole) // 2])
    request = request_for(records, out="second")
    with pytest.raises(DataError, match=r"(?s)3 questions of 1 records.*4 others.*LR_1.*1\.tif.*\(3x\)"):
        predict(request)
    assert sorted(logged_keys(request.out)) == ["0:0", "2:0", "3:0", "3:1"]
    assert not (request.out / "final.json").exists() and read_manifest(request.out) is None

    path.write_bytes(whole)
    seen = []
    predict(request, Listener(lambda answered, asked: seen.append(answered)))
    assert seen[0] == 4
    assert contents(request.out) == contents(done[0])


def test_a_record_without_image_is_reported_after_all_other_answers(request_for, records, tmp_path):
    del records[2]["image"]
    with pytest.raises(DataError, match=r"(?s)1 questions.*record RSICD_beach_1: it has no image"):
        predict(request_for(records))
    assert len(logged_keys(tmp_path / "out")) == 6


def test_nothing_is_written_if_nothing_can_be_asked(request_for, records, tmp_path):
    del records[2]["image"]
    with pytest.raises(DataError, match="RSICD_beach_1"):
        predict(request_for(records[2:3]))
    assert not (tmp_path / "out").exists()


def test_a_wrong_images_folder_is_refused_before_anything_is_written(request_for, records, tmp_path):
    with pytest.raises(DataError, match="None of the 4 images"):
        predict(request_for(records, images=tmp_path / "elsewhere"))
    assert not (tmp_path / "out").exists()


def test_with_predicted_history_turns_after_a_refused_one_are_refused(request_for, records):
    records[1]["conversations"][2]["value"] = " "
    with pytest.raises(DataError, match=r"(?s)2 questions.*question 2 is empty.*an earlier question"):
        predict(request_for(records, config={"history": "predicted"}))


def test_history_changes_the_answers_to_later_turns_only(done, request_for, records):
    answers = {"independent": read_json(done[0] / "final.json")}
    for history in ("predicted", "reference"):
        answers[history] = read_json(
            predict(request_for(records, out=history, config={"history": history})).path / "final.json"
        )
    first, later = ({json.dumps(final[1]["conversations"][place]) for final in answers.values()} for place in (1, 3))
    assert (len(first), len(later)) == (1, 3)


def test_a_killed_run_repeats_no_answer_and_ends_with_the_same_files(done, request_for, records, tmp_path):
    # the child kills itself after its second batch, without closing or syncing anything
    request = request_for(records, out="killed")
    (tmp_path / "request.json").write_text(request.model_dump_json())
    program = (
        "import os, signal, sys\n"
        "from tasks.inference.predict import Listener, predict\n"
        "from tasks.inference.request import PredictRequest\n"
        "def die(answered, asked):\n"
        "    if answered >= 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "predict(PredictRequest.model_validate_json(open(sys.argv[1]).read()), Listener(die))\n"
    )
    child = subprocess.run([sys.executable, "-c", program, str(tmp_path / "request.json")], env=os.environ)
    assert child.returncode == -signal.SIGKILL
    kept = (request.out / "answers.jsonl").read_bytes()
    assert kept.count(b"\n") == 4

    seen = []
    predict(request, Listener(lambda answered, asked: seen.append(answered)))
    assert seen[0] == 4
    assert contents(request.out) == contents(done[0])


def test_half_written_files_of_a_kill_are_removed(done, request_for, records):
    request = request_for(records, out="second")
    predict(request)
    (request.out / ".final.json.abc.part").write_text("half")
    (request.out / "final.json").unlink()
    predict(request)
    assert contents(request.out) == contents(done[0])


@pytest.mark.parametrize("missing", ["preprocessor_config.json", "model.safetensors", "tokenizer_config.json"])
@pytest.mark.parametrize("cached", [False, True])
def test_an_incomplete_model_is_refused_and_can_be_completed(
    request_for, records, tiny_model_dir, tmp_path, missing, cached
):
    model = shutil.copytree(tiny_model_dir, tmp_path / "model")
    (model / missing).unlink()
    changes = {"model": model, "config": {"engine": "transformers", "max_new_tokens": 2}}
    if cached:
        changes["store"] = AnswerStore(uri=(tmp_path / "store").as_uri())
    with pytest.raises(ModelError):
        predict(request_for(records, **changes))
    assert cached or not (tmp_path / "out").exists()
    shutil.copy(tiny_model_dir / missing, model / missing)
    # the completed model has another digest
    assert predict(request_for(records, **changes, model_sha256="1" * 64)).answers == 7


def test_in_bfloat16_the_manifest_counts_answers_that_are_the_same_alone(request_for, records, tiny_model_dir):
    config = {"engine": "transformers", "max_new_tokens": 2, "dtype": "bfloat16", "equality_sample": 3}
    lines = []
    made = predict(request_for(records, model=tiny_model_dir, config=config), Listener(log=lines.append))
    details = read_manifest(made.path).details
    assert details["asked_alone"] == 3 and 0 <= details["equal_when_alone"] <= 3
    assert lines == [f"{details['equal_when_alone']} of 3 answers are the same when asked one prompt at a time"]


def progress_lines(*calls):
    """The lines logged for calls of (time, answered, asked)."""
    times = iter([calls[0][0], *(call[0] for call in calls)])
    lines = []
    progress = ProgressLog(lines.append, lambda: next(times), interval_s=5)
    for _, answered, asked in calls:
        progress(answered, asked)
    return lines


def test_the_logged_rate_leaves_out_earlier_answers():
    line = progress_lines((0, 50, 100), (10, 70, 100))[-1]
    assert line == "70 of 100 questions answered, 2.0 per second, 15 s left"
    assert answers_progress(line) == (70, 100, 15) and answers_progress("something else") is None


def test_progress_is_logged_every_few_seconds_and_at_the_end():
    lines = progress_lines((0, 0, 9), (1, 1, 9), (2, 2, 9), (6, 6, 9), (7, 7, 9), (8, 9, 9))
    assert [line.split()[0] for line in lines] == ["0", "6", "9"]


def test_progress_without_an_answer_has_no_time_left():
    assert progress_lines((0, 0, 9), (6, 0, 9))[-1] == "0 of 9 questions answered, 0.0 per second"
