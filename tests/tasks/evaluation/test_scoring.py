"""Scores do not depend on the order of records, on how they were split into subsets, or on the process."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.scoring import no_meteor

from tasks.evaluation.caption_metrics import CaptionSet
from tasks.evaluation.controls.training_set import TrainingSet
from tasks.evaluation.controls.vqa_controls import vqa_controls
from tasks.evaluation.metrics.meteor import Meteor
from tasks.evaluation.pairing import iterate_texts, pair_records
from tasks.evaluation.reference_cider import score_by_reference_protocol
from tasks.evaluation.scoring import Scored, score_captions, score_questions, score_records
from tasks.evaluation.vqa_metrics import answered_questions
from tasks.settings import EvaluationConfig

WORDS = st.sampled_from(["plane", "ship", "tree", "road", "two", "many", "blue"])
TEXT = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
CAPTIONS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=2, max_size=8)
ANSWER = st.sampled_from(["yes", "no", "3", "", "rural", "I can not tell that from this image"])
QUESTION = st.sampled_from(["Is there a road?", "How many roads are there?", "Is there a ship?"])
ITEMS = st.lists(st.tuples(QUESTION, ANSWER, ANSWER), min_size=2, max_size=12)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(items=ITEMS, data=st.data())
def test_questions_score_the_same_in_any_order(items: Any, data: st.DataObject, paired: Any, record: Any) -> None:
    order = data.draw(st.permutations(range(len(items))))

    def scores(places: Any) -> Any:
        test = [record(f"LR/Train/{n}.tif", [(items[n][0], items[n][1] or "yes")]) for n in places]
        said = [record(f"LR/Train/{n}.tif", [(items[n][0], items[n][2])]) for n in places]
        asked = answered_questions(paired(test, said))
        return score_questions(asked), vqa_controls(asked, None, 3).scores

    assert scores(order) == scores(range(len(items)))


@FEW
@given(captions=CAPTIONS, data=st.data())
def test_the_reference_protocol_scores_the_same_in_any_order(
    captions: Any, data: st.DataObject, paired: Any, captions_of: Any
) -> None:
    order = data.draw(st.permutations(range(len(captions))))

    def scores(places: Any) -> Any:
        test = [captions_of(f"RSICD/images/{n}.jpg", captions[n][1]) for n in places]
        said = [captions_of(f"RSICD/images/{n}.jpg", [captions[n][0]]) for n in places]
        return score_by_reference_protocol(paired(test, said))

    assert scores(order) == pytest.approx(scores(range(len(captions))), abs=1e-12)


@FEW
@given(captions=CAPTIONS, data=st.data())
def test_captions_score_the_same_in_any_order(captions: Any, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(captions))))

    def scores(places: Sequence[int]) -> Any:
        said, references = zip(*(captions[place] for place in places), strict=True)
        images = tuple(map(str, places))
        return score_captions(CaptionSet("RSICD", images, said, tuple(map(tuple, references)), meteor=no_meteor))

    ours, moved = scores(range(len(captions))), scores(order)
    for metric, found in ours.items():
        assert moved[metric].corpus == pytest.approx(found.corpus, abs=1e-12)
        assert list(moved[metric].each) == pytest.approx(list(found.each[order]), abs=1e-12), metric


@pytest.fixture
def mixed(captions_of: Any, record: Any) -> list[tuple[Any, Any]]:
    """Records of captions and questions, each with its answers."""
    draw = random.Random(5)
    sentences = [f"{n} {thing}s beside the {where}" for n in range(4) for thing in ("ship", "plane") for where in "abc"]
    pairs = []
    for n in range(8):
        image, prompts = f"RSICD/images/{('port', 'wood')[n % 2]}_{n}.jpg", ("Describe it", "What is shown?")
        pairs.append([record(image, list(zip(prompts, draw.sample(sentences, 2), strict=True))) for _ in range(2)])
        image, road = f"LR/Train/{n}.tif", ("Is there a road?", "How many roads are there?")
        choices = [(draw.choice(["yes", "no"]), str(draw.randint(0, 20))) for _ in range(2)]
        pairs.append([record(image, list(zip(road, choice, strict=True))) for choice in choices])
    return [(test, said) for test, said in pairs]


@pytest.fixture
def all_scores(mixed: Any, write: Any, meteor: Meteor) -> Any:
    """A function (indices of records, size of the shards) -> all scores."""

    def score(places: Sequence[int], shard: int) -> Scored:
        test, said = ([mixed[place][side] for place in places] for side in (0, 1))
        # as `rsvlm predict` does it: answered in shards, joined in the test set's order
        shards = [said[start : start + shard] for start in range(0, len(said), shard)]
        joined = [
            row for number, rows in enumerate(shards) for row in json.loads(write(f"{number}.json", rows).read_text())
        ]
        files = write("test.json", test), write("final.json", joined)
        records = pair_records(*(list(iterate_texts(file)) for file in files))
        training = TrainingSet(iterate_texts(write("train.json", [row for row, _ in mixed])))
        return score_records(records, training, EvaluationConfig(), meteor)

    return score


def test_all_scores_are_the_same_in_any_order_and_any_shards(all_scores: Any) -> None:
    ours = all_scores(range(16), 16)
    for seed, shard in ((1, 1), (2, 3)):
        moved = all_scores(random.Random(seed).sample(range(16), 16), shard)
        assert flat(moved.scores) == pytest.approx(flat(ours.scores), abs=1e-12)
        row_of = {(row["image"], row["turn"]): row for row in moved.rows}
        for row in ours.rows:
            found = row_of[row["image"], row["turn"]] | {"record": row["record"]}
            assert flat(found) == pytest.approx(flat(row), abs=1e-12)


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested scores as one mapping from path to number or text."""
    if not isinstance(value, dict | list):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {path: end for key, part in items for path, end in flat(part, f"{name}/{key}").items()}


WORKER = """
import json, sys
from tests_input import CAPTIONS, TRAINING
from tasks.evaluation.controls.caption_controls import caption_controls
from tasks.evaluation.caption_metrics import CaptionSet
from tasks.evaluation.scoring import caption_intervals, score_captions
captions = CaptionSet(*CAPTIONS, meteor=lambda hypotheses, references: (0.0, [0.0] * len(hypotheses)))
scores = score_captions(captions)
corpus = {name: found.corpus for name, found in scores.items()}
print(json.dumps([corpus, caption_intervals(scores), caption_controls(captions, TRAINING, 28).scores]))
"""


def test_scores_and_controls_are_the_same_in_every_process(tmp_path: Path) -> None:
    images = tuple(f"RSICD/images/{n}.jpg" for n in range(30))
    texts = tuple(f"{n % 7} planes beside {n % 5} ships and tree {n % 3}" for n in range(30))
    captions = ("RSICD", images, texts, tuple((text, texts[-place]) for place, text in enumerate(texts)))
    training = {f"RSICD/images/9{n}.jpg": [texts[n], texts[n // 2]] for n in range(30)}
    (tmp_path / "tests_input.py").write_text(f"CAPTIONS = {captions!r}\nTRAINING = {training!r}\n")
    path = f"{tmp_path}{os.pathsep}{Path.cwd()}"
    # both at once: another seed of Python's hashes, another number of threads
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env={**os.environ, "PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": seed, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    one, other = (process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert one == other
    corpus, intervals, controls = json.loads(one)
    assert 0 < intervals["CIDEr"][0] < corpus["CIDEr"] < intervals["CIDEr"][1]
    assert controls["train_consensus"] > 0
