"""No score depends on the order of records, on how they were shared out, or on the process that took it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.evaluation.caption_controls import caption_controls
from tasks.evaluation.captions import CaptionSet
from tasks.evaluation.cider import CiderSpace, mean_similarity
from tasks.evaluation.reference_protocol import score_by_reference_protocol
from tasks.evaluation.vqa import answered_questions, score_questions
from tasks.evaluation.vqa_controls import vqa_controls

WORDS = st.sampled_from(["plane", "ship", "tree", "road", "two", "many", "blue"])
TEXT = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
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
        return score_questions(asked, 20, 3), vqa_controls(asked, None, 3)

    assert scores(order) == scores(range(len(items)))


@FEW
@given(
    captions=st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=2, max_size=8), data=st.data()
)
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
@given(groups=st.lists(st.lists(TEXT, min_size=1, max_size=3), min_size=2, max_size=6), said=TEXT)
def test_a_copy_of_a_reference_weighs_it_twice_and_moves_no_other_image(groups: Any, said: str) -> None:
    more = [[*groups[0], groups[0][0]], *groups[1:]]
    before, after = CiderSpace(groups), CiderSpace(more)

    def scores(space: CiderSpace, each: Any) -> list[list[float]]:
        return [[mean_similarity(space.vector(said), [space.vector(text)]) for text in group] for group in each]

    alone, copied = scores(before, groups), scores(after, more)
    assert copied[1:] == alone[1:]
    assert copied[0] == pytest.approx([*alone[0], alone[0][0]])


WORKER = """
import json, sys
from tests_input import CAPTIONS, TRAINING
from tasks.evaluation.caption_controls import caption_controls
from tasks.evaluation.captions import CaptionSet
print(json.dumps(caption_controls(CaptionSet(*CAPTIONS), TRAINING, 28)))
"""


def test_every_process_finds_the_same_controls(tmp_path: Path) -> None:
    images = tuple(f"RSICD/images/{n}.jpg" for n in range(30))
    texts = tuple(f"{n % 7} planes beside {n % 5} ships and tree {n % 3}" for n in range(30))
    captions = ("RSICD", images, texts, tuple((text, texts[-place]) for place, text in enumerate(texts)))
    training = {f"RSICD/images/9{n}.jpg": [texts[n], texts[n // 2]] for n in range(30)}
    (tmp_path / "tests_input.py").write_text(f"CAPTIONS = {captions!r}\nTRAINING = {training!r}\n")
    found = [
        subprocess.run(
            [sys.executable, "-c", WORKER],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1]
    assert json.loads(found[0]) == caption_controls(CaptionSet(*captions), training, 28)
