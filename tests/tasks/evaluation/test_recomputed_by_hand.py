"""A report on real captions and questions equals a recomputation in plain Python from the answers."""

import json
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import plain_evaluation as plain
from support.locations import REAL

RAW = REAL / "instructions_raw.json"
IMAGES = 40
EQUAL = 1e-9
Record = dict[str, Any]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RAW.is_file(), reason="skipped: real records not present"),
]


class Captions(NamedTuple):
    """Of one source, in PTB tokens by image: the answers, the references, and the training set's captions."""

    answers: dict[str, str]
    references: dict[str, list[str]]
    training: dict[str, list[str]]


def of(record: Record, speaker: str) -> list[str]:
    return [turn["value"] for turn in record["conversations"] if turn["from"] == speaker]


def class_of(image: str) -> str:
    return re.split(r"_\d+", Path(image).stem)[0]


def chosen(records: list[Record]) -> tuple[list[Record], list[Record]]:
    """Test and training set: captions of NWPU and RSICD, questions of UCM, and those of LR without training."""
    test, training = [], []
    for source in ("NWPU", "RSICD"):
        part = sorted((r for r in records if r["image"].startswith(f"{source}/")), key=lambda r: str(r["image"]))
        # every seventh, so that several classes are among them; neighbours share their class
        test += part[::7][:IMAGES]
        training += part[1::7][:IMAGES]
    asked = sorted((r for r in records if r["id"].startswith("UCM_vqa")), key=lambda r: str(r["image"]))
    training += asked[1::2]
    known = {text for record in asked[1::2] for text in of(record, "human")}
    test += [record for record in asked[::2] if known.issuperset(of(record, "human"))]
    return [*test, *(record for record in records if record["image"].startswith("LR/"))], training


def answered(test: list[Record]) -> list[Record]:
    """A peer's answers: captions and some answers of the next record of the source, the others are right."""
    found = []
    for number, record in enumerate(test):
        source = record["image"].split("/")[0]
        other = of(next(r for r in [*test[number + 1 :], *test] if r["image"].split("/")[0] == source), "gpt")
        turns, said = [], 0
        for turn in record["conversations"]:
            right = source in ("UCM", "LR") and (number * 7 + said * 3) % 10 < 7
            if turn["from"] == "gpt":
                turn = turn if right else {**turn, "value": other[said % len(other)]}
                said += 1
            turns.append(turn)
        found.append({**record, "conversations": turns})
    return found


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """metrics.json, and the records that went into it."""
    from flows.cli import main

    folder = tmp_path_factory.mktemp("by_hand")
    test, training = chosen(json.loads(RAW.read_text(encoding="utf-8")))
    sets = {"test": test, "answers": answered(test), "train": training}
    for name, records in sets.items():
        (folder / f"{name}.json").write_text(json.dumps(records), encoding="utf-8")
    data, predictions, train = (str(folder / f"{name}.json") for name in sets)
    main(["evaluate", "--data", data, "--predictions", predictions, "--train", train, "--out", str(folder / "out")])
    yield {**sets, "metrics": json.loads((folder / "out" / "metrics.json").read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def tokens(evaluated: dict[str, Any]) -> dict[str, str]:
    """Every caption with its tokens by pycocoevalcap's own tokenizer."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    from tasks.evaluation.metrics.java import find_java

    texts = sorted({text for name in ("test", "answers", "train") for r in evaluated[name] for text in of(r, "gpt")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{find_java().parent}{os.pathsep}{os.environ['PATH']}")
        found = PTBTokenizer().tokenize({number: [{"caption": text}] for number, text in enumerate(texts)})
    return {text: found[number][0] for number, text in enumerate(texts)}


def captions(evaluated: dict[str, Any], tokens: dict[str, str], source: str) -> Captions:
    parts = [
        {r["image"]: [tokens[text] for text in of(r, "gpt")] for r in evaluated[name] if r["image"].startswith(source)}
        for name in ("answers", "test", "train")
    ]
    return Captions({image: said[0] for image, said in parts[0].items()}, parts[1], parts[2])


@pytest.mark.parametrize("source", ["NWPU", "RSICD"])
def test_caption_scores_and_intervals(evaluated: dict[str, Any], tokens: dict[str, str], source: str) -> None:
    found = captions(evaluated, tokens, source)
    images = sorted(found.references)
    answers, references = [found.answers[i] for i in images], [found.references[i] for i in images]
    space = plain.PlainCider(references)
    cider = [space.mean(*each) for each in zip(answers, references, strict=True)]
    rouge = [plain.rouge_l(*each) for each in zip(answers, references, strict=True)]

    def bleu(ids: Sequence[int]) -> float:
        return plain.bleu_4([answers[i] for i in ids], [references[i] for i in ids])

    every = range(len(images))
    values = plain.leave_one_out(bleu, len(images))
    moved = [value + bleu(every) - sum(values) / len(values) for value in values]
    reported = evaluated["metrics"]["captioning"][source]
    assert reported["CIDEr"] == pytest.approx(sum(cider) / len(cider), abs=EQUAL)
    assert reported["ROUGE-L"] == pytest.approx(sum(rouge) / len(rouge), abs=EQUAL)
    # pycocoevalcap adds 1e-15 and 1e-9 to the counts
    assert reported["BLEU-4"] == pytest.approx(bleu(every), abs=1e-8)
    assert reported["ci95"]["CIDEr"] == pytest.approx(plain.interval_of_scores(cider, True, 0, 10), abs=EQUAL)
    assert reported["ci95"]["ROUGE-L"] == pytest.approx(plain.interval_of_scores(rouge, False, 0, 1), abs=EQUAL)
    assert reported["ci95"]["BLEU-4"] == pytest.approx(plain.interval_of_scores(moved, False, 0, 1), abs=1e-6)


@pytest.mark.parametrize("source", ["NWPU", "RSICD"])
def test_the_gain_of_captions(evaluated: dict[str, Any], tokens: dict[str, str], source: str) -> None:
    found = captions(evaluated, tokens, source)
    images = sorted(found.references)
    space, training = plain.PlainCider(list(found.references.values())), plain.PlainCider(list(found.training.values()))
    by_class: dict[str, list[str]] = defaultdict(list)
    for image, texts in found.training.items():
        by_class[class_of(image)] += texts
    assert {class_of(image) for image in images} <= set(by_class)
    best = {name: training.consensus(texts) for name, texts in by_class.items()}
    blind = {
        "train_consensus": {image: best[class_of(image)] for image in images},
        "constant": dict.fromkeys(images, training.consensus([t for group in found.training.values() for t in group])),
    }
    own = [space.mean(found.answers[image], found.references[image]) for image in images]
    tests = {
        name: plain.paired([o - space.mean(said[i], found.references[i]) for o, i in zip(own, images, strict=True)])
        for name, said in blind.items()
    }
    gain = evaluated["metrics"]["captioning"][source]["gain"]
    assert gain["value"] == pytest.approx(tests[gain["baseline"]][0], abs=EQUAL)
    require_gain(gain, tests)


def require_gain(gain: dict[str, Any], tests: dict[str, tuple[float, list[float], float, float]]) -> None:
    # (difference, interval, one-sided and two-sided p-value) of each baseline
    unclear = max(tests, key=lambda name: tests[name][2])
    beaten = tests[unclear][2] < 0.025
    named = min(tests, key=lambda name: tests[name][0]) if beaten else unclear
    assert gain["baseline"] == named
    assert gain["ci95"] == pytest.approx(tests[named][1], abs=EQUAL)
    assert gain["p"] == pytest.approx(tests[unclear][3], rel=1e-6)


def of_images(evaluated: dict[str, Any], source: str) -> dict[str, list[tuple[str, str, str]]]:
    """The questions of each image with the reference and the peer's answer."""
    found: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for true, said in zip(evaluated["test"], evaluated["answers"], strict=True):
        if true["image"].startswith(source):
            questions = [text.replace("<image>\n", "") for text in of(true, "human")]
            found[true["image"]] += zip(questions, of(true, "gpt"), of(said, "gpt"), strict=True)
    return dict(sorted(found.items()))


@pytest.mark.parametrize("source", ["UCM", "LR"])
def test_accuracy_and_its_interval(evaluated: dict[str, Any], source: str) -> None:
    images = of_images(evaluated, source).values()
    right = [sum(true == said for _, true, said in turns) for turns in images]
    asked = [len(turns) for turns in images]
    reported = evaluated["metrics"]["vqa"][source]
    assert reported["accuracy"] == sum(right) / sum(asked)
    expected = plain.interval_of_accuracy(right, asked)
    assert reported["ci95"]["accuracy"] == pytest.approx(expected, abs=EQUAL)


def test_the_gain_of_questions(evaluated: dict[str, Any]) -> None:
    given: dict[str, Counter[str]] = defaultdict(Counter)
    for record in evaluated["train"]:
        if record["image"].startswith("UCM"):
            for asked, answer in zip(of(record, "human"), of(record, "gpt"), strict=True):
                for key in (asked.replace("<image>\n", ""), kind_of(asked)):
                    given[key][answer] += 1
    guess = {key: min(counts, key=lambda answer: (-counts[answer], answer)) for key, counts in given.items()}
    tests, plainly = {}, {}
    for name, key in (("majority", kind_of), ("question_only", str)):
        values, plainly[name] = gain_over(
            lambda text, key=key: guess[key(text)], list(of_images(evaluated, "UCM").values())
        )
        tests[name] = plain.paired(values)
    reported = evaluated["metrics"]["vqa"]["UCM"]["gain"]
    assert reported["value"] == pytest.approx(plainly[reported["baseline"]], abs=EQUAL)
    require_gain(reported, tests)


def gain_over(blind: Callable[[str], str], images: list[list[tuple[str, str, str]]]) -> tuple[list[float], float]:
    """The gain's pseudo-values, and the gain itself: the former's mean is corrected for the bias of a ratio."""
    sums = [
        (sum(true == said for _, true, said in turns), sum(blind(text) == true for text, true, _ in turns), len(turns))
        for turns in images
    ]

    def gain(ids: Sequence[int]) -> float:
        return sum(sums[i][0] - sums[i][1] for i in ids) / sum(sums[i][2] for i in ids)

    return plain.leave_one_out(gain, len(sums)), gain(range(len(sums)))


def kind_of(question: str) -> str:
    """UCM asks four kinds of questions: theme, presence, number and location."""
    words = question.replace("<image>\n", "").split()
    return " ".join(words[:4] if words[0] == "What" else words[:2])


def test_the_gains_of_the_report_are_one_family(evaluated: dict[str, Any]) -> None:
    metrics = evaluated["metrics"]
    gains = [scores["gain"] for task in ("captioning", "vqa") for scores in metrics[task].values()]
    assert len(gains) == 4
    tested = sorted(gains, key=lambda gain: float(gain["p"]))
    highest = 0.0
    for rank, gain in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * gain["p"]))
        assert math.isclose(gain["p_adjusted"], highest, rel_tol=1e-12)
        assert gain["shown"] == (gain["value"] > 0 and highest < 0.05)
