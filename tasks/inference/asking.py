"""Ask all turns of some dialogues, in as many rounds as their history needs."""

from collections.abc import Iterator, Mapping, Sequence

from tasks.inference.dialogues import Dialogue, History, ready_questions
from tasks.inference.engines.base import Engine, Refusal
from tasks.records import Answer


def ask_dialogues(
    dialogues: Sequence[Dialogue], history: History, engine: Engine, answers: Mapping[str, str]
) -> Iterator[list[Answer | Refusal]]:
    """Ask what has no answer yet; the caller puts what is yielded into `answers` before it asks for more.

    Independent and reference history need one round, predicted history one for each turn. A turn whose
    earlier turn got no answer is refused.
    """
    tried: set[str] = set()
    while ready := [
        question for dialogue in dialogues for question in ready_questions(dialogue, history, answers, tried)
    ]:
        tried |= {question.key for question in ready}
        yield from engine.answer(ready)
    known = tried | answers.keys()
    blocked: list[Answer | Refusal] = [
        Refusal(dialogue.record, turn, "an earlier question of it has no answer to go on from")
        for dialogue in dialogues
        for turn in dialogue.asked
        if dialogue.is_question(turn) and dialogue.key(turn) not in known
    ]
    if blocked:
        yield blocked
