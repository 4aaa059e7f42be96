import json
import random
from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.locations import SHARED

from tasks.data.record_checks import filter_records
from tasks.data.splitting import Split, reduce_records, split_records
from tasks.errors import ConfigError
from tasks.image_paths import image_key
from tasks.sources import source_of


def record(image: str, name: str = "") -> dict:
    return {"id": name or image, "image": image, "conversations": []}


def records_of(**sizes: list[int]) -> list[dict]:
    """Records of one image per size with that many records, for each source; shuffled, as in a real file."""
    records = [
        record(f"{source}/{image}.jpg", f"{source}_{image}_{copy}")
        for source, groups in sizes.items()
        for image, size in enumerate(groups)
        for copy in range(size)
    ]
    random.Random(1).shuffle(records)
    return records


def sets_of(split: Split) -> list[list[dict]]:
    return [split.train, split.val, split.test]


def lines(records: list[dict]) -> str:
    return sha256("\n".join(record["image"] for record in records).encode()).hexdigest()


def test_reference_partition_of_the_real_records():
    if not (SHARED / "golden" / "reference_split.json").exists():
        pytest.skip("golden values not present")
    golden = json.loads((SHARED / "golden" / "reference_split.json").read_bytes())["train=0.7 test=0.2"]
    raw = json.loads((SHARED / "real" / "instructions_raw.json").read_bytes())
    split = split_records(filter_records(raw, ("NWPU", "RSICD", "LR", "DOTA")).records, 0.7, 0.2, 28, "reference")
    reduced = reduce_records(split.test, 0.3, 28, "reference")
    sets = {"train": split.train, "val": split.val, "test": split.test, "test_reduced_0.3": reduced}
    for name, records in sets.items():
        assert len(records) == golden[name]["records"]
        assert [r["image"] for r in records[:3]] == golden[name]["first"]
        assert lines(records) == golden[name]["sha256_of_image_lines"]


def test_reference_partition_of_a_small_example():
    records = [record(f"{source}/{n}") for n in range(5) for source in ("A", "B")]
    split = split_records(records, 0.6, 0.2, 28, "reference")
    assert [[r["image"] for r in part] for part in sets_of(split)] == REFERENCE_SETS


REFERENCE_SETS = [["A/2", "A/3", "A/4", "B/0", "B/2", "B/3"], ["A/0", "B/1"], ["A/1", "B/4"]]


def test_reference_protocol_counts_the_records_lost_by_rounding():
    split = split_records(records_of(A=[1] * 7, B=[1] * 3), 0.7, 0.3, 28, "reference")
    assert [len(part) for part in sets_of(split)] == [6, 0, 2]
    assert split.lost == 2


sizes = st.lists(st.integers(1, 4), min_size=1, max_size=40)
shares = st.sampled_from([(0.7, 0.2), (0.8, 0.2), (0.5, 0.25), (0.0, 1.0), (1.0, 0.0), (0.33, 0.33)])


@settings(deadline=None, max_examples=60)
@given(a=sizes, b=sizes, share=shares, seed=st.integers(0, 5))
def test_split_keeps_all_records_of_an_image_in_one_set(a, b, share, seed):
    records = records_of(A=a, B=b)
    split = split_records(records, *share, seed, "grouped")
    images = [{image_key(r["image"]) for r in part} for part in sets_of(split)]
    assert not images[0] & images[1] and not images[0] & images[2] and not images[1] & images[2]
    assert sorted(r["id"] for part in sets_of(split) for r in part) == sorted(r["id"] for r in records)
    assert split.lost == 0


@settings(deadline=None, max_examples=60)
@given(number=st.integers(1, 60), pairs=st.integers(0, 10), share=shares, seed=st.integers(0, 5))
def test_shares_are_within_one_record_if_group_sizes_allow(number, pairs, share, seed):
    records = records_of(A=[1] * number, B=[2] * pairs + [1] * max(3, pairs))
    split = split_records(records, *share, seed, "grouped")
    totals = Counter(source_of(r["image"]) for r in records)
    ratios = (share[0], 1 - sum(share), share[1])
    for part, ratio in zip(sets_of(split), ratios, strict=True):
        counts = Counter(source_of(r["image"]) for r in part)
        assert all(abs(counts[source] - totals[source] * ratio) <= 1 + 1e-9 for source in totals)


def test_two_spellings_of_one_path_are_one_image():
    records = [record("A/x/1.jpg", "one"), record("A/./x//1.jpg", "two"), *(record(f"A/{n}.jpg") for n in range(8))]
    split = split_records(records, 0.5, 0.5, 3, "grouped")
    sides = [i for i, part in enumerate(sets_of(split)) for r in part if r["id"] in ("one", "two")]
    assert sides[0] == sides[1]


def test_images_with_many_records_are_spread_over_the_sets():
    split = split_records(records_of(A=[2] * 100 + [1] * 100), 0.7, 0.2, 28, "grouped")
    doubles = [sum(n == 2 for n in Counter(r["image"] for r in part).values()) for part in sets_of(split)]
    assert [abs(have - want) <= 2 for have, want in zip(doubles, (70, 10, 20), strict=True)] == [True] * 3


def test_sets_do_not_depend_on_the_order_of_the_records():
    records = records_of(A=[1, 2, 1, 3] * 5)
    split, mirrored = (split_records(r, 0.7, 0.2, 28, "grouped") for r in (records, records[::-1]))
    assert [r["id"] for r in split.test] == [r["id"] for r in mirrored.test[::-1]]


def test_grouped_partition_is_the_same_on_every_machine():
    split = split_records([record(f"A/{n}") for n in range(10)], 0.6, 0.2, 28, "grouped")
    assert [[r["image"] for r in part] for part in sets_of(split)] == GROUPED_SETS


GROUPED_SETS = [["A/0", "A/1", "A/4", "A/5", "A/7", "A/8"], ["A/6", "A/9"], ["A/2", "A/3"]]


def test_other_seed_gives_another_partition():
    records = records_of(A=[1] * 40)
    tests = [split_records(records, 0.7, 0.2, seed, "grouped").test for seed in (1, 2)]
    assert tests[0] != tests[1]


def test_records_of_a_set_keep_their_order():
    records = records_of(A=[1, 2] * 10, B=[1] * 9)
    position = {r["id"]: n for n, r in enumerate(records)}
    for part in sets_of(split_records(records, 0.7, 0.2, 28, "grouped")):
        positions = [position[r["id"]] for r in part]
        assert positions == sorted(positions)


@pytest.mark.parametrize("train, test", [(0.9, 0.2), (-0.1, 0.5), (0.5, 1.5)])
def test_invalid_shares_are_refused(train, test):
    with pytest.raises(ConfigError, match="at most 1"):
        split_records([record("A/1")], train, test, 28, "grouped")


@pytest.mark.parametrize("protocol", ["grouped", "reference"])
def test_reduction_keeps_the_share_of_each_source(protocol):
    records = records_of(A=[1] * 50, B=[1] * 30)
    kept = reduce_records(records, 0.3, 28, protocol)
    assert Counter(source_of(r["image"]) for r in kept) == {"A": 15, "B": 9}


def test_grouped_reduction_divides_no_image():
    records = records_of(A=[3] * 10)
    kept = reduce_records(records, 0.3, 28, "grouped")
    assert set(Counter(r["image"] for r in kept).values()) == {3}
    assert len(kept) == 9


@given(a=sizes, b=sizes, ratio=st.sampled_from([0.001, 0.05, 0.3, 0.9]), seed=st.integers(0, 5))
def test_grouped_reduction_keeps_an_image_of_each_source(a, b, ratio, seed):
    records = records_of(A=a, B=b)
    counts, kept = (
        Counter(r["image"] for r in some) for some in (records, reduce_records(records, ratio, seed, "grouped"))
    )
    assert {source_of(image) for image in kept} == {"A", "B"}
    assert all(counts[image] == number for image, number in kept.items())


def test_full_reduction_keeps_all_records_in_order():
    records = records_of(A=[1, 2] * 5)
    assert reduce_records(records, 1.0, 28, "grouped") == records


@pytest.mark.parametrize("ratio", [0, 1.1, -1])
def test_ratio_out_of_bounds_is_refused(ratio):
    with pytest.raises(ConfigError, match="ratio"):
        reduce_records([record("A/1")], ratio, 28, "grouped")


def test_the_own_protocol_follows_the_records_and_loses_those_without_a_set() -> None:
    names = ["test", "train", "val", "train", None, "other"]
    records = [{**record(f"A/{n}.jpg"), **({"split": name} if name else {})} for n, name in enumerate(names)]
    split = split_records(records, 0.7, 0.2, 28, "own")
    assert [[each["image"] for each in part] for part in sets_of(split)] == [
        ["A/1.jpg", "A/3.jpg"],
        ["A/2.jpg"],
        ["A/0.jpg"],
    ]
    assert split.lost == 2
