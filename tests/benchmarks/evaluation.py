"""Scoring with controls and intervals, compared with pycocoevalcap's tokenizer and scorers on the same captions."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmms_eval_scoring import lmms_eval_scores
from rows import Row

from tasks.evaluation.metrics.java import find_java
from tasks.files import write_json

CAPTIONS, QUESTIONS = 10_000, 10_000
# how much larger the test set is that memory is measured on a second time
LARGER = 2
REFERENCES, QUESTIONS_AN_IMAGE = 5, 100
TRAINING_SHARE = 0.5  # records of the training set, as a share of the test set's
VOCABULARY = 800

Records = list[dict[str, Any]]


# In a process of its own: its peak memory is nobody else's.
EVALUATE = """
import sys, time
from pathlib import Path
from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.settings import EvaluationConfig
folder = Path(sys.argv[1])
files = EvaluationFiles(folder / "test.json", folder / "final.json", folder / "train.json")
start = time.perf_counter()
evaluate(files, folder / "report", EvaluationConfig())
taken = time.perf_counter() - start
# not ru_maxrss, which begins with that of the process that started this one
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(taken, int(peak.split()[1]) * 1024)
"""


def scoring_beside_pycocoevalcap(folder: Path) -> list[Row]:
    """Time of `evaluate` on 10,000 captions and 10,000 questions over that of the bare scorers on the captions, and
    how its peak memory grows on twice as many answers, over how much the files that it reads do.
    """
    small, large = folder / "small", folder / "large"
    size_bytes = {place: write_inputs(place, times) for place, times in ((small, 1), (large, LARGER))}
    test, answers = make_records(CAPTIONS, 0, seed=1)
    bare_s = bare_scorers_s(test, answers)
    (whole_s, peak), (_, larger_peak) = evaluated(small), evaluated(large)
    print(f"  evaluation {whole_s:.1f} s, pycocoevalcap alone {bare_s:.1f} s")
    print(f"  peak memory {peak / 1e6:.0f} MB, {larger_peak / 1e6:.0f} MB on {LARGER} times as many answers")
    growth = (larger_peak - peak) / (size_bytes[large] - size_bytes[small])
    return [
        Row("evaluation: all controls and intervals / pycocoevalcap alone", whole_s / bare_s, "<= 1.5"),
        *beside_lmms_eval(test, answers, whole_s),
        # the texts are held, for the report, and arrays of all n-grams of one order
        Row("evaluation: growth of peak memory / growth of the files", growth, "<= 10"),
    ]


def beside_lmms_eval(test: Records, answers: Records, whole_s: float) -> list[Row]:
    """The time of `evaluate` over that of lmms-eval's scoring of the captions, if an environment with it is named."""
    texts = [[turn["value"] for turn in record["conversations"][1::2]] for record in test]
    said = [record["conversations"][1]["value"] for record in answers]
    with _java_on_path():
        found = lmms_eval_scores(texts, said)
    if found is None:
        return []
    print(f"  lmms-eval {found['seconds']:.1f} s")
    return [Row("evaluation: all controls and intervals / lmms-eval's scoring of captions", whole_s / found["seconds"])]


def write_inputs(folder: Path, times: int) -> int:
    """Write a test set, answers to it and a training set; how many bytes they are."""
    captions, questions = CAPTIONS * times, QUESTIONS * times
    test, answers = make_records(captions, questions, seed=1)
    training, _ = make_records(int(captions * TRAINING_SHARE), int(questions * TRAINING_SHARE), seed=2)
    folder.mkdir()
    for name, records in (("test", test), ("final", answers), ("train", training)):
        write_json(folder / f"{name}.json", records)
    return sum(path.stat().st_size for path in folder.iterdir())


def evaluated(folder: Path) -> tuple[float, int]:
    """Seconds that `evaluate` takes, and the peak memory of its process in bytes."""
    shutil.rmtree(folder / "report", ignore_errors=True)
    command = [sys.executable, "-c", EVALUATE, str(folder)]
    seconds, peak = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return float(seconds), int(peak)


def make_records(captions: int, questions: int, seed: int) -> tuple[Records, Records]:
    """A test set and answers to it: captions of RSICD, an image each, then questions of LR, a hundred an image."""
    rng = random.Random(seed)
    words = [
        f"{'bcdfghjklm'[n % 10]}{'aeiou'[n // 10 % 5]}{'nprstvwxyz'[n // 50 % 10]}{n // 500}" for n in range(VOCABULARY)
    ]
    pairs = [_caption_record(rng, words, f"{seed}_{n}") for n in range(captions)]
    pairs += [_question_record(rng, f"{seed}_{n}") for n in range(questions // QUESTIONS_AN_IMAGE)]
    test, answers = zip(*pairs, strict=True)
    return list(test), list(answers)


def _caption_record(rng: random.Random, words: list[str], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    topic = rng.sample(words, 12)
    references = [_caption(rng, words, topic) for _ in range(REFERENCES)]
    turns = [("What is shown in this image?", text) for text in references]
    return (
        _record(name, f"RSICD/images/{name}.jpg", turns),
        _record(name, f"RSICD/images/{name}.jpg", [(turns[0][0], _caption(rng, words, topic))]),
    )


def _caption(rng: random.Random, words: list[str], topic: list[str]) -> str:
    # frequent words are frequent as in a language; half of them belong to the image
    return " ".join(
        rng.choice(topic) if rng.random() < 0.5 else words[int(VOCABULARY * rng.random() ** 3)]
        for _ in range(rng.randint(7, 15))
    )


def _question_record(rng: random.Random, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    asked = [_question(rng) for _ in range(QUESTIONS_AN_IMAGE)]
    image = f"LR/Train/{name}.tif"
    true = _record(name, image, [(question, rng.choice(choices)) for question, choices in asked])
    said = _record(name, image, [(question, rng.choice(choices)) for question, choices in asked])
    return true, said


def _question(rng: random.Random) -> tuple[str, list[str]]:
    thing, other = rng.sample(["road", "building", "farmland", "forest", "water area", "parking lot"], 2)
    return rng.choice(
        [
            (f"Is there a {thing}?", ["yes", "no"]),
            (f"Are there more {thing}s than {other}s?", ["yes", "no"]),
            (f"How many {thing}s are there?", [str(n) for n in range(40)]),
            ("Is it a rural or an urban area?", ["rural", "urban"]),
        ]
    )


def _record(name: str, image: str, turns: list[tuple[str, str]]) -> dict[str, Any]:
    values = [
        {"from": role, "value": value if number or role == "gpt" else f"<image>\n{value}"}
        for number, turn in enumerate(turns)
        for role, value in zip(("human", "gpt"), turn, strict=True)
    ]
    return {"id": name, "image": image, "conversations": values}


def bare_scorers_s(test: Records, answers: Records) -> float:
    """Seconds that pycocoevalcap's tokenizer and its CIDEr, BLEU, METEOR and ROUGE-L take, called by hand."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    truth, said = (
        {n: [{"caption": turn["value"]} for turn in record["conversations"][1::2]] for n, record in enumerate(records)}
        for records in (test, answers)
    )
    with _java_on_path():
        start = time.perf_counter()
        truth, said = PTBTokenizer().tokenize(truth), PTBTokenizer().tokenize(said)
        for scorer in (Cider(), Bleu(4), Meteor(), Rouge()):
            scorer.compute_score(truth, said)
        return time.perf_counter() - start


@contextmanager
def _java_on_path() -> Iterator[None]:
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = f"{find_java().parent}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before
