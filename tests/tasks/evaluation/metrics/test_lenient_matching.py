"""Which answers mean the reference answer although their form differs, and which do not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluation.metrics.answer_matching import normalise_answer, same_answer
from tasks.evaluation.metrics.lenient_matching import lenient_match

RIGHT = {
    "yes": ["Yes.", "Yes, there is a road.", "The answer is yes.", "yes and no"],
    "no": ["There are no roads.", "No, there is no road that I can see."],
    "8": ["eight", "8 buildings", "There are 8 buildings.", "There are eight (8) of them", "about 8", "8 or 9"],
    "0": ["none", "no buildings", "There are no buildings here.", "zero"],
    "100": ["one hundred", "a hundred buildings"],
    "250": ["two hundred and fifty", "I count two hundred fifty cars"],
    "1205": ["one thousand two hundred and five", "1 205", "1,205 houses"],
    "47": ["forty-seven"],
    "between 11 and 100": ["11-100", "between 10 and 100 buildings", "47", "There are 47 buildings", "from 20 to 50"],
    "between 20 and 30 ships": ["Between 20 and 30 ships."],
    "more than 1000": ["There are more than 1000.", "> 1000", "1001"],
    "0m2": ["0 m2", "0 m\u00b2", "0", "It is 0 square meters."],
    "more than 1000m2": ["more than 1000 m2", "more than 1000", "1250m2"],
    "1250m2": ["1,250 m2", "1250"],
    "small vehicle": ["small vehicles", "a small vehicle", "This is a small vehicle.", "smallvehicle"],
    "baseball diamond": ["baseballdiamond", "Baseball diamonds", "The image shows a baseball diamond."],
    "MediumResidential": ["Medium Residential"],
    "city": ["cities"],
    "church": ["churches"],
    "top-left": ["top left", "in the top-left corner", "It is in the top left of the image"],
    "urban": ["Urban area", "It is an urban area."],
    "A": ["A. farmland", "(A)", "Answer: A", "The correct answer is (a) farmland"],
    "B. airport": ["B", "(b)", "airport", "B: airports"],
    "road, building": ["building, road", "buildings and roads"],
}
WRONG = {
    "yes": ["There is a road.", "no", "No, yes", "I can not tell"],
    "no": ["Yes, but no cars", ""],
    "8": ["between 1 and 10", "more than 8", "18", "8 m2", "3 of 8", "many", "yes"],
    "0": ["not sure", "8, no more"],
    "47": ["between 11 and 100"],
    "between 11 and 100": ["101", "between 1 and 100", "more than 11", "0", "47 m2"],
    "1250m2": ["1251 m2", "more than 1000 m2"],
    "residential": ["dense residential", "not residential", "commercial"],
    "rural": ["rural or urban", "not rural but urban"],
    "football field": ["soccer ball field", "field"],
    "A. farmland": ["B. farmland", "A. airport", "airport"],
    "A": ["B", "A farmland"],
    "road, building": ["road", "road, building, water", "road, road"],
    "small vehicle": ["", "...", "vehicle"],
}


@pytest.mark.parametrize(("reference", "answer"), [(truth, each) for truth, said in RIGHT.items() for each in said])
def test_another_form_of_the_right_answer_is_right(reference: str, answer: str) -> None:
    assert lenient_match(answer, reference)


@pytest.mark.parametrize(("reference", "answer"), [(truth, each) for truth, said in WRONG.items() for each in said])
def test_another_answer_is_wrong(reference: str, answer: str) -> None:
    assert not lenient_match(answer, reference)


NUMBERS = ["8", "eight", "0m2", "between", "11", "and", "100", "m2", "more", "than", "1000"]
WORDS = st.sampled_from(["yes", "no", *NUMBERS, "the", "road", "roads", ",", ".", "A.", "(B)", "-", "urban"])
TEXT = st.one_of(st.lists(WORDS, max_size=6).map(" ".join), st.text(max_size=20))


@settings(deadline=None)
@given(answer=TEXT, reference=TEXT)
def test_every_answer_that_is_right_by_exact_match_is_right(answer: str, reference: str) -> None:
    exact = same_answer(normalise_answer(answer), normalise_answer(reference))
    assert lenient_match(answer, reference) >= exact


@pytest.mark.parametrize("text", ["9" * 100_000, "no. " * 25_000, "1 " * 50_000, "a, " * 30_000, "(" * 100_000])
def test_an_answer_of_100000_characters_does_no_harm(text: str) -> None:
    assert not lenient_match(text, "road")
    assert not lenient_match(text, "7")
