"""The time that a dialogue of many rounds takes."""

import pytest
from support.tiny_processors import Pair

from tasks.model.chat.control_tokens import ControlTokens
from tasks.model.encoding import IGNORE_INDEX, Turn

ANSWER = "Yes, there are two."


def test_a_long_dialogue_is_encoded_in_linear_time(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    if pair.own.chat_template is None:
        pytest.skip("PaliGemma knows no dialogue")
    lengths = []
    encode = ControlTokens.encode

    def counted(self: ControlTokens, text: str, continued: bool = False) -> list[int]:
        lengths.append(len(text))
        return encode(self, text, continued)

    monkeypatch.setattr(ControlTokens, "encode", counted)
    turns: list[Turn] = [("human", "How many?"), ("gpt", ANSWER)] * 30
    encoded = pair.ours.encode_conversation(turns, images=0)
    # once as a whole, and once piece by piece
    assert sum(lengths) < 2.1 * lengths[0]
    answers = pair.own.tokenizer.decode([label for label in encoded.labels if label != IGNORE_INDEX])
    assert answers.count(ANSWER) == 30 and "How many?" not in answers
