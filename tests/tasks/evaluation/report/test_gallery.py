"""Which examples the gallery shows."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.evaluation.report.gallery import choose_examples, equal_shares, one_per_source, ranked_indices, shorten


@pytest.mark.parametrize(("length", "count"), [(9, 3), (9, 9), (9, 20), (2, 3), (1, 5), (0, 3), (100, 60), (5, 4)])
def test_examples_are_distinct_and_not_more_than_asked(length: int, count: int) -> None:
    indices = [index for _, index in ranked_indices(length, count)]
    assert len(indices) == len(set(indices)) == min(length, count)
    assert all(0 <= index < length for index in indices)


def test_best_typical_and_worst_are_shown() -> None:
    assert ranked_indices(9, 3) == [("best", 0), ("typical", 4), ("worst", 8)]


def test_long_texts_are_shortened_and_give_their_length() -> None:
    assert shorten("x" * 100_000).endswith("(100,000 characters)")
    assert shorten("short") == "short"


def caption(number: int, image: str, cider: float | None) -> dict[str, Any]:
    return {
        "record": number,
        "turn": 0,
        "task": "captioning",
        "source": "RSICD",
        "image": image,
        "question": "q",
        "answer": "a",
        "references": ["r", "r", "s"],
        "type": "caption",
        "no_answer": None,
        "right": None,
        "CIDEr": cider,
    }


def test_every_source_gets_the_same_number_of_examples() -> None:
    rows = [caption(n, f"RSICD/images/{n}.jpg", n / 10) for n in range(20)]
    rows += [{**caption(20 + n, f"NWPU/{n}.jpg", n / 10), "source": "NWPU"} for n in range(3)]
    shown = choose_examples(rows, None, None, 6)
    assert [example["source"] for example in shown] == ["NWPU"] * 3 + ["RSICD"] * 3


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6), count=st.integers(1, 200))
def test_as_many_examples_are_shown_as_asked_where_the_sources_have_them(sizes: list[int], count: int) -> None:
    shares = equal_shares(sizes, count)
    assert sum(shares) == min(count, sum(sizes))
    assert all(share <= size for share, size in zip(shares, sizes, strict=True))
    # a source with examples left has no fewer than any other, except for the remainder
    cut = [share for share, size in zip(shares, sizes, strict=True) if share < size]
    assert not cut or max(shares) <= min(cut) + 1


def test_the_rest_of_a_small_source_goes_to_the_others() -> None:
    sizes = {"DOTA": 2, "NWPU": 10, "RSICD": 100}
    names = [source for source, size in sizes.items() for _ in range(size)]
    rows = [{**caption(n, f"{name}/{n}.jpg", n / 10), "source": name} for n, name in enumerate(names)]
    shown = [example["source"] for example in choose_examples(rows, None, None, 60)]
    assert {name: shown.count(name) for name in sizes} == {"DOTA": 2, "NWPU": 10, "RSICD": 48}


def test_unscored_captions_are_not_shown() -> None:
    assert choose_examples([caption(0, "RSICD/images/1.jpg", None)], None, None, 6) == []


def test_images_are_embedded_as_small_jpegs(tmp_path: Path) -> None:
    Image.new("RGB", (900, 600), "green").save(tmp_path / "big.png")
    [example] = choose_examples([caption(0, "big.png", 1.0)], None, tmp_path, 3)
    kind, data = example["picture"].split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (768, 512)


def test_the_more_images_the_smaller_each_is(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (600, 600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    rows = [caption(number, "noise.png", 1.0) for number in range(300)]
    sizes = {}
    for count in (3, 300):
        shown = choose_examples(rows, None, tmp_path, count)
        sizes[count] = max(len(base64.b64decode(str(one["picture"]).split(",")[1])) for one in shown)
    assert sizes[300] <= 20_000 < sizes[3] <= 100_000


def test_the_summary_has_one_typical_example_of_each_source() -> None:
    rows = [{**caption(n, f"{n}.jpg", n / 10), "source": name} for n, name in enumerate("AAAAAABBBBBBC")]
    examples = choose_examples(rows, None, None, 13)
    shown = one_per_source(examples)
    # a source with a single example has none that is typical
    assert [(one["source"], one["rank"]) for one in shown] == [("A", "typical"), ("B", "typical"), ("C", "best")]


def test_an_example_has_the_base_models_answer() -> None:
    rows = [caption(0, "RSICD/images/1.jpg", 1.0)]
    [example] = choose_examples(rows, [{**rows[0], "answer": "b", "CIDEr": 0.2}], None, 3)
    assert example["turns"][0]["base"] == {"answer": "b", "right": None, "score": 0.2}


def test_questions_that_the_training_changed_are_shown_first() -> None:
    asked = {**caption(0, "LR/1.tif", None), "task": "vqa", "source": "LR", "type": "presence"}
    rows: Any = [{**asked, "turn": turn, "right": True} for turn in range(20)]
    base: Any = [{**row, "right": row["turn"] != 17} for row in rows]
    [example] = choose_examples(rows, base, None, 1)
    turns: Any = example["turns"]
    assert sum("better" in turn["states"] for turn in turns) == 1
