"""PTB tokens, against the Python wrapper of pycocoevalcap."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.evaluation.metrics import ptb_tokenizer
from tasks.evaluation.metrics.java import find_java, scorer_file
from tasks.evaluation.metrics.ptb_tokenizer import JAR, tokenize_captions

CAPTIONS = [
    "A plane is on the runway, isn't it?",
    "there are 5,000 m\u00b2 of (green) trees etc.",
    "The \u201cbig\u201d caf\u00e9 -- near U.S. 66...",
    "trees etc.",
    "",
    "  two   planes\tare parked ",
    "<image> of a b&w $5 sign | x",
    "\u673a\u573a \u0645\u0637\u0627\u0631 plane \U0001f44d!",
]


def test_tokens_equal_those_of_pycocoevalcap(monkeypatch: pytest.MonkeyPatch) -> None:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    monkeypatch.setenv("PATH", f"{find_java().parent}{os.pathsep}{os.environ['PATH']}")
    theirs = PTBTokenizer().tokenize({0: [{"caption": caption} for caption in CAPTIONS]})
    assert tokenize_captions(CAPTIONS) == theirs[0]


def test_punctuation_is_dropped_and_case_folded() -> None:
    assert tokenize_captions(["A plane, on THE runway."]) == ["a plane on the runway"]


def test_no_line_separator_shifts_later_captions() -> None:
    separators = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
    captions = [text for mark in separators for text in (f"one{mark}two", "three")]
    assert tokenize_captions(captions) == ["one two", "three"] * len(separators)


def test_empty_captions_keep_their_positions() -> None:
    assert tokenize_captions(["", "a", "", "...", "", ""]) == ["", "a", "", "", "", ""]
    assert tokenize_captions([""]) == [""]
    assert tokenize_captions([]) == []


def test_a_caption_of_100000_characters_is_tokenized() -> None:
    long, next_one = tokenize_captions(["x" * 100_000, "next"])
    assert (len(long), next_one) == (100_000, "next")


def test_the_locale_does_not_change_accents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert tokenize_captions(["caf\u00e9 \u673a\u573a"]) == ["caf\u00e9 \u673a\u573a"]


def test_nothing_is_written_next_to_the_jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a copy: pycocoevalcap's own tokenizer, which other tests run meanwhile, writes there
    jar = shutil.copy(scorer_file("tokenizer.ptbtokenizer", JAR), tmp_path)
    monkeypatch.setattr(ptb_tokenizer, "scorer_file", lambda *names: Path(jar))
    before = tmp_path.stat().st_mtime_ns
    tokenize_captions(["a plane"])
    assert tmp_path.stat().st_mtime_ns == before


def test_concurrent_calls_do_not_mix() -> None:
    groups = [[f"plane {number} of {count}" for number in range(50)] for count in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tokenize_captions, groups)) == groups
