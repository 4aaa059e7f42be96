import numpy as np

from tasks.data.duplicates.hash_search import near_pairs, sign_hashes


def vectors(number: int, seed: int = 28) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (number, 64)).astype(np.float32)


def test_noisy_copies_are_found_among_unrelated_hashes():
    originals = vectors(2000)
    copies = originals[:500] + vectors(500, seed=1) * 0.15
    codes = near_pairs(np.concatenate([originals, copies]), within_bits=14)
    assert codes.tolist() == [number * 2500 + 2000 + number for number in range(500)]


def test_sign_that_is_uncertain_in_one_hash_does_not_hide_the_pair():
    one = np.where(vectors(1) > 0, 1.0, -1.0).astype(np.float32)
    other = one.copy()
    for quarter in range(4):
        one[0, quarter * 16 : quarter * 16 + 3] *= 0.01
        other[0, quarter * 16 : quarter * 16 + 3] *= -0.01
    both = np.concatenate([one, other])
    assert np.bitwise_count(sign_hashes(both)[0] ^ sign_hashes(both)[1]) == 12
    assert near_pairs(both, within_bits=12).tolist() == [1]
    assert near_pairs(both, within_bits=11).tolist() == []


def test_near_hashes_of_uncorrelated_values_are_not_a_pair():
    signs = np.where(vectors(1) > 0, 1.0, -1.0).astype(np.float32)
    one, other = signs * 0.1, signs * 0.1
    one[:, 3:8] *= 100
    other[:, 50:60] *= 100
    assert near_pairs(np.concatenate([one, other]), within_bits=18).tolist() == []


def test_each_pair_is_returned_once():
    same = np.repeat(vectors(1), 4, axis=0)
    assert near_pairs(same, within_bits=0).tolist() == [1, 2, 3, 6, 7, 11]


def test_unrelated_hashes_and_a_single_hash_give_no_pair():
    assert len(near_pairs(vectors(500), within_bits=14)) == 0
    assert len(near_pairs(vectors(1), within_bits=14)) == 0
