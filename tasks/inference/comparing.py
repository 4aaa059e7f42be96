"""How many answers stay the same when they are asked one prompt at a time, on a sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.inference.dialogues import Dialogue, History, question_of
from tasks.inference.engines.base import Engine
from tasks.records import Answer


@dataclass(frozen=True)
class Comparison:
    """Answers that were asked again, and those of them that came out the same."""

    asked: int
    equal: int


def compare_alone(
    dialogues: Sequence[Dialogue], history: History, engine: Engine, texts: Mapping[str, str], sample: int
) -> Comparison:
    """Ask up to `sample` answered turns, evenly spread over the test set, again by themselves."""
    turns = [(dialogue, turn) for dialogue in dialogues for turn in dialogue.asked if dialogue.key(turn) in texts]
    step = max(1, len(turns) // sample)
    chosen = turns[::step][:sample]
    equal = 0
    for dialogue, turn in chosen:
        outcome = engine.answer_alone(question_of(dialogue, turn, history, texts))
        equal += isinstance(outcome, Answer) and outcome.text == texts[dialogue.key(turn)]
    return Comparison(len(chosen), equal)
