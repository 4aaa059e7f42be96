"""usage.json: how many tokens the answers of a served model took, what they cost, and how they ended."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tasks.files import write_json
from tasks.paths import USAGE
from tasks.records import Answer, Value
from tasks.settings import ApiConfig

# parts of a million tokens in which prices are given
PRICED_TOKENS = 1_000_000
DIGITS = 6


class Usage(Value):
    """Tokens and cost of some answers, as far as the server reports them.

    `without_usage` counts answers whose tokens are unknown. `cost` is None without prices. `answered_as` counts
    answers by the name that the server gave the model, `ended_by` those that did not end by themselves. Requests
    without an answer are not part of it, such as one whose answer was lost.
    """

    version: int = 1
    model: str | None
    answers: int
    prompt_tokens: int
    answer_tokens: int
    without_usage: int
    input_price: float | None
    output_price: float | None
    cost: float | None
    answered_as: dict[str, int]
    ended_by: dict[str, int]


def write_usage(folder: Path, answers: Iterable[Answer], api: ApiConfig) -> list[str]:
    """Write the usage of the answers of a served model, and return lines to log; no file for any other model."""
    usage = usage_of(answers, api)
    if usage is None:
        (folder / USAGE).unlink(missing_ok=True)
        return []
    write_json(folder / USAGE, usage.model_dump(mode="json"))
    return list(_lines(usage))


def usage_of(answers: Iterable[Answer], api: ApiConfig) -> Usage | None:
    """The usage of those answers that a server gave; None if there are none."""
    served = [(answer, answer.served) for answer in answers if answer.served]
    if not served:
        return None
    known = [(answer, said.prompt_tokens) for answer, said in served if said.prompt_tokens is not None]
    prompt_tokens, answer_tokens = sum(prompt for _, prompt in known), sum(answer.tokens for answer, _ in known)
    names = Counter(said.model or api.model or "" for _, said in served)
    return Usage(
        model=api.model,
        answers=len(served),
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        without_usage=len(served) - len(known),
        input_price=api.input_price,
        output_price=api.output_price,
        cost=_cost(prompt_tokens, answer_tokens, api),
        answered_as=dict(sorted(names.items())),
        ended_by=dict(sorted(Counter(said.finish for _, said in served if said.finish).items())),
    )


def _cost(prompt_tokens: int, answer_tokens: int, api: ApiConfig) -> float | None:
    if api.input_price is None and api.output_price is None:
        return None
    spent = prompt_tokens * (api.input_price or 0) + answer_tokens * (api.output_price or 0)
    return round(spent / PRICED_TOKENS, DIGITS)


def _lines(usage: Usage) -> Iterator[str]:
    cost = "" if usage.cost is None else f", which cost {usage.cost:g}"
    tokens = f"{usage.prompt_tokens} prompt tokens and {usage.answer_tokens} answer tokens{cost}"
    yield f"{usage.answers} answers of {usage.model}: {tokens}"
    if usage.without_usage:
        yield f"the server reports no usage for {usage.without_usage} answers: their tokens and cost are unknown"
    if others := [name for name in usage.answered_as if name != usage.model]:
        yield f"the server calls the model {', '.join(others)}"
    for reason, count in usage.ended_by.items():
        yield f"{count} answers did not end by themselves, but by {reason}: they are scored as they are"
