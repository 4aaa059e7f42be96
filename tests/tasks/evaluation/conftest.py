"""Small test sets with answers, as files and in memory."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.kept_meteor import KeptMeteor
from support.llava_records import Record, asked_record, captions_record

QUESTIONS = [("Is there a road?", "yes"), ("How many roads are there?", "3")]


@pytest.fixture(scope="session")
def meteor(kept_meteor: KeptMeteor) -> Iterator[Any]:
    """The METEOR process."""
    with kept_meteor() as score:
        yield score


@pytest.fixture(scope="session")
def full_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on three captions and two questions, written once, since it starts METEOR; do not change it."""
    from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
    from tasks.settings import EvaluationConfig

    folder = tmp_path_factory.mktemp("full")
    texts = [f"{number} planes on the runway" for number in ("two", "three", "four")]
    images = [f"NWPU/NWPU_images/airport/airport_{n}.jpg" for n in range(3)]
    both = asked_record("LR/Train/1.tif", QUESTIONS)
    test = [*(captions_record(image, [text, texts[0]]) for image, text in zip(images, texts, strict=True)), both]
    said = [*(captions_record(image, [text]) for image, text in zip(images, texts, strict=True)), both]
    for name, records in (("test", test), ("said", said), ("train", test[:3])):
        (folder / f"{name}.json").write_text(json.dumps(records), encoding="utf-8")
    files = [folder / f"{name}.json" for name in ("test", "said", "train")]
    config = EvaluationConfig(gallery=6)
    return evaluate(EvaluationFiles(*files, base=files[1]), folder / "final", config).path


@pytest.fixture
def record() -> Callable[..., Record]:
    """A function (image, [(question, answer), ...], id) -> a record in the LLaVA layout."""
    return asked_record


@pytest.fixture
def captions_of() -> Callable[..., Record]:
    """A function (image, captions) -> a captioning record."""
    return captions_record


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    """A function (name, value) -> the path of a JSON file with that value."""

    def write_file(name: str, value: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def paired() -> Callable[[list[Record], list[Record]], Any]:
    """A function (test set, answers) -> paired records."""
    from tasks.evaluation.pairing import TextSharing, pair_records, record_text
    from tasks.record_reader import Entry

    def texts(records: list[Record]) -> list[Any]:
        return [record_text(Entry("a test", row, ""), TextSharing()) for row in records]

    return lambda test, answers: pair_records(texts(test), texts(answers))


@pytest.fixture
def asked(paired: Any, record: Any) -> Any:
    """A function ({image: [(question, truth, answer)]}) -> answered questions."""

    from tasks.evaluation.vqa_metrics import answered_questions

    def ask(images: dict[str, list[tuple[str, str, str]]]) -> Any:
        test = [record(f"LR/Train/{i}.tif", [(q, truth) for q, truth, _ in turns]) for i, turns in images.items()]
        said = [record(f"LR/Train/{i}.tif", [(q, answer) for q, _, answer in turns]) for i, turns in images.items()]
        return answered_questions(paired(test, said))

    return ask


@pytest.fixture
def vqa_files(write: Any, record: Any) -> dict[str, Path]:
    """A test set of questions, two models' answers to it, and a training set."""
    test = [record(f"LR/Train/{n}.tif", QUESTIONS) for n in range(8)]
    good = [record(f"LR/Train/{n}.tif", [(q, truth) for q, truth in QUESTIONS]) for n in range(8)]
    bad = [record(f"LR/Train/{n}.tif", [(q, "no") for q, _ in QUESTIONS]) for n in range(8)]
    files = {"test": test, "good": good, "bad": bad, "train": [record("LR/Train/90.tif", QUESTIONS)]}
    return {name: write(f"{name}.json", rows) for name, rows in files.items()}


@pytest.fixture
def report(vqa_files: dict[str, Path], tmp_path: Path) -> Callable[..., Any]:
    """A function (answers, out) -> a report of questions."""

    def make(answers: str = "good", out: str = "reports/final", **options: Any) -> Any:
        from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
        from tasks.settings import EvaluationConfig

        config = options.pop("config", EvaluationConfig(gallery=6))
        files = EvaluationFiles(**{"data": vqa_files["test"], "predictions": vqa_files[answers], **options})
        return evaluate(files, tmp_path / out, config)

    return make
