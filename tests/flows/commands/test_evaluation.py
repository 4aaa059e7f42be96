"""`rsvlm evaluate` and `rsvlm compare`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.locations import REPO

from flows.cli import main
from tasks.evaluation.answers.formats import WANTED


def vqa_records(answer: str) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "image": f"LR/Train/{number}.tif",
            "conversations": [
                {"from": "human", "value": "<image>\nIs there a road?"},
                {"from": "gpt", "value": answer},
            ],
        }
        for number in range(10)
    ]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    paths = {}
    for name, answer in (("test", "yes"), ("good", "Yes."), ("bad", "no")):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(vqa_records(answer)))
        paths[name] = str(path)
    return paths


def evaluated(files: dict[str, str], name: str, out: Path, *more: str) -> int:
    return main(["evaluate", "--data", files["test"], "--predictions", files[name], "--out", str(out), *more])


def test_evaluate_prints_a_table_and_the_path_of_the_report(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluated(files, "good", tmp_path / "final", "--train", files["test"]) == 0
    printed = capsys.readouterr().out.split("\n")
    assert printed[1].split() == [
        "LR",
        "accuracy",
        "1.000",
        "0.722",
        "to",
        "1.000",
        "1.000",
        "+0.000",
        *("not", "better", "than", "blind"),
    ]
    assert printed[-2] == f"report: {tmp_path / 'final' / 'report.html'}"


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of locales with other formats of numbers or letters than C, for LOCPATH."""
    folder = tmp_path_factory.mktemp("locales")
    for name in ("de_DE", "tr_TR"):
        try:
            made = subprocess.run(["localedef", "-i", name, "-f", "UTF-8", str(folder / f"{name}.UTF-8")], check=False)
        except FileNotFoundError:
            pytest.skip("localedef is not installed, so no other locale can be built")
        if made.returncode:
            pytest.skip("localedef has no sources of locales: install Debian's package locales")
    return folder


# German writes 0.5 as 0,5; in Turkish the lower case of I has no dot
@pytest.mark.slow
@pytest.mark.parametrize(
    "language", [{"LANG": "de_DE.UTF-8"}, {"LC_ALL": "tr_TR.UTF-8"}, {"LANG": "C", "LC_NUMERIC": "de_DE.UTF-8"}]
)
def test_scores_do_not_depend_on_the_locale(
    locales: Path, caption_files: dict[str, str], tmp_path: Path, language: dict[str, str]
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LANG", "LC_"))}
    env = {**kept, "LOCPATH": str(locales), **language}
    name = "import locale; print(locale.setlocale(locale.LC_ALL, ''))"
    (set_to,) = {value for value in language.values() if value != "C"}
    assert set_to in subprocess.check_output([sys.executable, "-c", name], env=env, text=True)
    command = ["evaluate", "--data", caption_files["test"], "--predictions", caption_files["said"]]
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *command, "--out", str(tmp_path / "final")],
        **{"env": env, "cwd": REPO, "capture_output": True, "text": True},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "final" / "metrics.json").read_text())["captioning"]["NWPU"]
    expected = json.loads(Path(caption_files["metrics"]).read_text())["captioning"]["NWPU"]
    assert found == expected and 0 < found["METEOR"] < 1


@pytest.fixture(scope="module")
def caption_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A test set of captions, answers to it and their scores in the locale of these tests."""
    folder = tmp_path_factory.mktemp("captions")
    texts = ["AN ISLAND IN THE INDIAN OCEAN", "two planes, white, on a runway", "It is a café at the river"]
    for name, said in (("test", texts), ("said", [text.replace("white", "grey") for text in texts])):
        records = [
            {
                "id": number,
                "image": f"NWPU/NWPU_images/island/{number}.jpg",
                "conversations": [
                    {"from": "human", "value": "<image>\nDescribe this image."},
                    {"from": "gpt", "value": text},
                ],
            }
            for number, text in enumerate(said)
        ]
        (folder / f"{name}.json").write_text(json.dumps(records))
    files = {name: str(folder / f"{name}.json") for name in ("test", "said")}
    assert main(["evaluate", "--data", files["test"], "--predictions", files["said"], "--out", str(folder / "c")]) == 0
    return {**files, "metrics": str(folder / "c" / "metrics.json")}


def test_compare_prints_and_writes_the_verdict(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(files, "bad", tmp_path / "reports" / "base")
    evaluated(files, "good", tmp_path / "reports" / "final")
    capsys.readouterr()
    out = tmp_path / "comparison.json"
    assert main(["compare", str(tmp_path / "reports" / "base"), str(tmp_path / "reports"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.split("\n")[1].split()[-3:] == ["better", "10", "6"]
    assert json.loads(out.read_text())["vqa"]["LR"]["accuracy"]["difference"] == 1


def test_compare_takes_runs_by_their_names(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run, answers, model in (("small", "bad", "final"), ("large", "good", "final"), ("large", "bad", "base")):
        evaluated(files, answers, tmp_path / "w" / "runs" / run / "reports" / model)
    capsys.readouterr()
    assert main(["compare", "small", "large", "large/base", "--workspace", str(tmp_path / "w")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [(row[0], row[-3]) for row in rows] == [("large/final", "better"), ("large/base", "tie")]
    runs = tmp_path / "w" / "runs"
    assert main(["compare", str(runs / "small"), "large/final", "--workspace", str(tmp_path / "w")]) == 0
    assert "better" in capsys.readouterr().out
    assert main(["compare", "small", "lage", "--workspace", str(tmp_path / "w")]) == 2
    error = f"error: lage is neither a report's folder nor a run in {runs}: did you mean large?\n"
    assert capsys.readouterr().err == error


def test_compare_with_one_report_asks_for_the_second(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "reports"])
    usage, error = capsys.readouterr().err.rsplit("rsvlm compare: ", 1)
    assert ended.value.code == 2 and "REPORT_DIR_A REPORT_DIR_B [REPORT_DIR ...]" in " ".join(usage.split())
    assert error == "error: the following arguments are required: REPORT_DIR_B\n"


def test_only_clean_scores_the_images_that_an_audit_calls_clean(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rows in (("train", vqa_records("yes")[:3]), ("test", vqa_records("yes"))):
        (tmp_path / "sets").mkdir(exist_ok=True)
        (tmp_path / "sets" / f"data_{name}.json").write_text(json.dumps(rows))
    (tmp_path / "imagenes").mkdir()
    audit = ["data", "audit", files["test"], "--images", str(tmp_path / "imagenes"), "--sets", str(tmp_path / "sets")]
    assert main([*audit, "--out", str(tmp_path / "audit")]) == 0
    assert evaluated(files, "good", tmp_path / "final", "--only-clean", str(tmp_path / "audit")) == 0
    assert json.loads((tmp_path / "final" / "metrics.json").read_text())["vqa"]["LR"]["images"] == 7
    assert "clean images only" in (tmp_path / "final" / "report.html").read_text()


OF_ANOTHER = "score answers with the complete test set that they answer, in its order."
ASKED_OTHERWISE = "which the test set does not ask there: score answers with the test set that they answer."
LONE = "holds half a Unicode character (a lone surrogate); write it again."
TURN = {"from": "human", "value": "Is there a ship?"}, {"from": "gpt", "value": "no"}


def first(**parts: Any) -> Any:
    """A function that changes parts of the first record."""
    return lambda rows: [{**rows[0], **parts}, *rows[1:]]


def first_turns(change: Any) -> Any:
    return lambda rows: [{**rows[0], "conversations": change(rows[0]["conversations"])}, *rows[1:]]


DAMAGES = {
    "missing": (
        lambda rows: rows[:-1],
        f"The answers lack the record 9 (LR/Train/9.tif) of the test set: {OF_ANOTHER}",
    ),
    "double": (
        lambda rows: [*rows, rows[0]],
        f"The answers contain the record 0 (LR/Train/0.tif) 2 times, the test set 1 times: {OF_ANOTHER}",
    ),
    "foreign id": (
        first(id=77),
        f"The answers contain the record 77 (LR/Train/0.tif), which is not in the test set: {OF_ANOTHER}",
    ),
    "id of another type": (
        first(id="0"),
        f"The answers contain the record '0' (LR/Train/0.tif), which is not in the test set: {OF_ANOTHER}",
    ),
    "foreign image": (
        first(image="LR/Train/77.tif"),
        f"The answers contain the record 0 (LR/Train/77.tif), which is not in the test set: {OF_ANOTHER}",
    ),
    "other order": (
        lambda rows: rows[::-1],
        f"The answers' record 9 (LR/Train/9.tif) is not at its position in the test set: {OF_ANOTHER}",
    ),
    "other turn": (
        first_turns(lambda turns: [TURN[0], turns[1]]),
        f"The answers' record 0 (LR/Train/0.tif) asks 'Is there a ship?', {ASKED_OTHERWISE}",
    ),
    "turn too many": (
        first_turns(lambda turns: [*turns, *TURN]),
        f"The answers' record 0 (LR/Train/0.tif) asks 'Is there a ship?', {ASKED_OTHERWISE}",
    ),
    "other test set": (
        lambda rows: [{**row, "image": row["image"].replace("LR/Train", "DOTA/images")} for row in rows],
        f"The answers contain the record 0 (DOTA/images/0.tif), which is not in the test set: {OF_ANOTHER}",
    ),
    "no list": (
        lambda rows: {"records": rows},
        "FILE has no list of records: give a JSON file that begins with [, or JSON Lines with one record per line; for "
        "a file of another tool, first use `rsvlm data import`.",
    ),
    "no records": (lambda rows: [], f"FILE holds no answers: {WANTED}."),
    "no record": (
        lambda rows: [*rows[:-1], "x"],
        "FILE: record 10 is not an object with id, image and conversations; fix or remove it.",
    ),
    "record of another tool": (
        lambda rows: [{"question_id": 0, "answer": "yes"}, *rows[1:]],
        f"FILE, answer 2 has no answer, but 'id, image, conversations': {WANTED}.",
    ),
    "wrong type of id": (
        first(id=True),
        "FILE: record 1 (id True) has an id that is neither a text nor a whole number; fix or remove it.",
    ),
    "wrong type of image": (
        first(image=None),
        "FILE: record 1 (id 0) has no image; fix or remove it.",
    ),
    "no image": (first(image=""), "FILE: record 1 (id 0) has no image; fix or remove it."),
    "wrong type of turns": (
        first(conversations="x"),
        "FILE: record 1 (id 0) has conversations that are not a list of turns; fix or remove it.",
    ),
    "wrong type of answer": (
        first_turns(lambda turns: [turns[0], {"from": "gpt", "value": None}]),
        'FILE: record 1 (id 0) has a turn that is not {"from": "human" or "gpt", "value": text}; fix or remove it.',
    ),
    "half a character in an answer": (
        first_turns(lambda turns: [turns[0], {"from": "gpt", "value": "\ud83d"}]),
        f"FILE: record 1 {LONE}",
    ),
    "half a character in an id": (first(id="\ud83d"), f"FILE: record 1 {LONE}"),
    "half a character elsewhere": (first(note=["\udc00"]), f"FILE: record 1 {LONE}"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_wrong_answers_exit_with_2_and_one_line_and_write_nothing(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    change, sentence = DAMAGES[damage]
    Path(files["good"]).write_text(json.dumps(change(vqa_records("yes"))))
    before = sorted(tmp_path.iterdir())
    assert evaluated(files, "good", tmp_path / "final") == 2
    assert capsys.readouterr().err == f"error: {sentence.replace('FILE', files['good'])}\n"
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not valid JSON ("),
        (b'[{"id": 1, "ima', "is not valid JSON ("),
        (b'[{"id": "\xff"}]', "is not in UTF-8:"),
        (b"[" * 100_000 + b"]" * 100_000, "is not valid JSON ("),
    ],
)
def test_invalid_json_exits_with_2(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, message: str
) -> None:
    Path(files["good"]).write_bytes(data)
    assert evaluated(files, "good", tmp_path / "final") == 2
    assert capsys.readouterr().err.startswith(f"error: {files['good']} {message}")
    assert not (tmp_path / "final").exists()
