"""Text is encoded as by sentencepiece, also after the tokenizer was saved and loaded."""

import random
from pathlib import Path
from typing import Any

import pytest
from support.locations import ORACLE

from tasks.model.llava.prompt import encode_round
from tasks.model.llava.tokenizer import load_original_tokenizer, load_tokenizer

MODELS = ORACLE / "models"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="golden values not present")
FOLDERS = {"new": MODELS / "tiny-llava-v1.5", "legacy": MODELS / "tokenizer-legacy-true"}
BITS = (
    *("airport", "  ", "   ", " ", "\n", "\t", "é", "漢字", "🚢", "\u2028", "- item", "a", "xxxxxxx", "12,5", "(", ")"),
    *("e\u0301", "\u00a0", "ASSISTANT:", "<0xFF>", "the", "ing", "<", "image", "'s", "    - "),
)


@pytest.fixture(scope="module", params=FOLDERS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return load_original_tokenizer(FOLDERS[request.param])


@pytest.fixture(scope="module")
def texts() -> list[str]:
    drawn = random.Random(5)
    return ["x" + "".join(drawn.choices(BITS, k=drawn.randint(1, 12))) for _ in range(2000)]


def test_ids_equal_those_of_sentencepiece(tokenizer: Any, texts: list[str]) -> None:
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(FOLDERS["new"] / "tokenizer.model"))
    assert tokenizer(texts, add_special_tokens=False)["input_ids"] == pieces.encode(texts)


def test_a_saved_tokenizer_gives_the_same_ids(tokenizer: Any, texts: list[str], tmp_path: Path) -> None:
    for name in ("once", "twice"):
        tokenizer.save_pretrained(tmp_path / name)
        again = load_tokenizer(tmp_path / name)
        marked = [f"{text}</s>USER: <image>\n{text}" for text in texts[:200]]
        assert again(marked)["input_ids"] == tokenizer(marked)["input_ids"]
        assert len(again) == len(tokenizer) == 32000
        tokenizer = again


def test_a_tokenizer_without_tokenizer_json_gives_the_same_ids(texts: list[str]) -> None:
    found = load_tokenizer(FOLDERS["legacy"])
    expected = load_original_tokenizer(FOLDERS["legacy"])
    assert found(texts)["input_ids"] == expected(texts)["input_ids"]


def test_later_rounds_begin_as_the_legacy_setting_says(tokenizer: Any) -> None:
    pieces = tokenizer.convert_ids_to_tokens(encode_round(tokenizer, 1, "Q", "a").input_ids)
    assert pieces[:2] == (["▁US", "ER"] if tokenizer.legacy else ["USER", ":"])
