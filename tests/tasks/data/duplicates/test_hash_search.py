import numpy as np

from tasks.data.duplicates.hash_search import hashes_of, near_pairs


def vectors(number: int, seed: int = 28) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (number, 64)).astype(np.float32)


def test_copies_with_a_little_noise_are_found_among_strangers():
    originals = vectors(2000)
    copies = originals[:500] + vectors(500, seed=1) * 0.15
    codes = near_pairs(np.concatenate([originals, copies]), within_bits=14)
    assert codes.tolist() == [number * 2500 + 2000 + number for number in range(500)]


def test_a_sign_that_is_doubtful_in_one_of_them_only_does_not_part_them():
    one = np.where(vectors(1) > 0, 1.0, -1.0).astype(np.float32)
    other = one.copy()
    for quarter in range(4):
        one[0, quarter * 16 : quarter * 16 + 3] *= 0.01
        other[0, quarter * 16 : quarter * 16 + 3] *= -0.01
    both = np.concatenate([one, other])
    assert np.bitwise_count(hashes_of(both)[0] ^ hashes_of(both)[1]) == 12
    assert near_pairs(both, within_bits=12).tolist() == [1]
    assert near_pairs(both, within_bits=11).tolist() == []


def test_near_signs_of_values_that_do_not_correlate_are_no_pair():
    signs = np.where(vectors(1) > 0, 1.0, -1.0).astype(np.float32)
    one, other = signs * 0.1, signs * 0.1
    one[:, 3:8] *= 100
    other[:, 50:60] *= 100
    assert near_pairs(np.concatenate([one, other]), within_bits=18).tolist() == []


def test_each_pair_is_told_once():
    same = np.repeat(vectors(1), 4, axis=0)
    assert near_pairs(same, within_bits=0).tolist() == [1, 2, 3, 6, 7, 11]


def test_no_pairs_among_strangers_and_none_in_one():
    assert len(near_pairs(vectors(500), within_bits=14)) == 0
    assert len(near_pairs(vectors(1), within_bits=14)) == 0
