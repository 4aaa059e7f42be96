"""Which question an answer is for; what is missing, foreign, ambiguous or contradicting is refused by name."""

from typing import Any

import pytest

from tasks.errors import DataError

ROAD, MORE = "Is there a road?", "Are there more roads than rivers?"


def by_id(*pairs: tuple[object, str]) -> list[dict[str, object]]:
    return [{"id": name, "answer": answer} for name, answer in pairs]


ALL = by_id(*((n, "yes") for n in range(6)))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            ALL[:2],
            "lacks answers to 4 of 6 questions: 'Is there a road\\?' of record '2'.* and 1 more. Answer them, or",
        ),
        ([*ALL, *by_id((9, "no"))], r"has 1 answers to no question of the test set: answer 7 \(id '9'\)"),
        ([*ALL, *by_id((3, "no"))], "second, different answer to 'Are there more roads than rivers\\?' of record '3'"),
        (by_id((7, "yes"), (8, "no")), r"answers no question of the test set; its answers are to answer 1 \(id '7'\)"),
        ([{**ALL[0], "question": "Is there a ship?"}, *ALL[1:]], "'Is there a ship\\?'"),
        ([{**ALL[0], "image": "9.tif"}, *ALL[1:]], "has 1 answers to no question"),
        (
            [{**ALL[0], "ground_truth": "urban"}, *ALL[1:]],
            r"has 1 answers to no question of the test set: answer 1 \(id '0'\), whose id is there with another",
        ),
        ([{"image": "1.tif", "answer": "yes"}], "fits several questions of the test set, such as"),
    ],
    ids=["missing", "foreign", "contradicting", "none", "other question", "other image", "other reference", "unclear"],
)
def test_answers_to_other_questions_are_refused_by_name(answers: Any, message: str, read: Any, questions: Any) -> None:
    with pytest.raises(DataError, match=message):
        read(questions, answers)


def test_an_answer_that_is_given_twice_counts_once(read: Any, questions: Any) -> None:
    assert read(questions, [*ALL, ALL[2]]).origin["repeated"] == 1


def test_an_empty_text_is_an_answer_but_an_empty_cell_is_none(said: Any, read: Any, questions: Any) -> None:
    assert said(questions, [*ALL[:5], *by_id((5, ""))])[5] == ""
    with pytest.raises(DataError, match="lacks answers to 1 of 6"):
        read(questions, "id,answer\n" + "".join(f"{n},yes\n" for n in range(5)) + "5,\n", "answers.csv")
    with pytest.raises(DataError, match="lacks answers to 1 of 6"):
        read(questions, [*ALL[:5], {"id": 5, "answer": None}], "null.json")


def test_one_id_of_several_records_needs_the_question(said: Any, read: Any, questions: Any) -> None:
    for number, row in enumerate(questions):
        row["id"] = f"image {number // 2}"
    answers = [{"id": f"image {n // 2}", "question": MORE if n % 2 else ROAD, "answer": str(n)} for n in range(6)]
    assert said(questions, answers) == list("012345")
    with pytest.raises(DataError, match="fits several questions"):
        read(questions, by_id(*((f"image {n}", "yes") for n in range(3))), "bare.json")


def test_an_id_of_a_question_precedes_that_of_its_record(said: Any, record: Any) -> None:
    row = record("LR/Train/1.tif", [(ROAD, "yes"), (MORE, "no")], "r")
    row["conversations"][0]["question_id"], row["conversations"][2]["question_id"] = 71, "72"
    assert said([row], by_id((72, "b"), ("71", "a"))) == ["a", "b"]


def test_one_question_id_of_two_questions_is_refused(read: Any, record: Any) -> None:
    test = [record(f"LR/Train/{n}.tif", [(ROAD, "yes")], f"r{n}") for n in range(2)]
    for row in test:
        row["conversations"][0]["question_id"] = 7
    with pytest.raises(DataError, match="fits several questions"):
        read(test, by_id((7, "yes")))


def test_a_file_name_in_two_folders_needs_the_folder(said: Any, read: Any, record: Any) -> None:
    test = [record(f"{folder}/1.tif", [(ROAD, "yes")], folder) for folder in ("LR", "HR")]
    answers = [{"image": f"data/{folder}/1.tif", "question": ROAD, "answer": folder} for folder in ("HR", "LR")]
    assert said(test, answers) == ["LR", "HR"]
    with pytest.raises(DataError, match="fits several questions"):
        read(test, [{"image": "1.tif", "question": ROAD, "answer": "yes"}], "bare.json")


def test_an_image_alone_is_enough_for_a_caption_but_not_against_an_unknown_id(
    said: Any, read: Any, record: Any
) -> None:
    answers = [{"question_id": n + 90, "image_id": f"{n}.jpg", "answer": f"said {n}"} for n in range(2)]
    captions = [record(f"C/{n}.jpg", [("Describe the image", "a port")], f"c{n}") for n in range(2)]
    assert said(captions, answers) == ["said 0", "said 1"]
    roads = [record(f"C/{n}.jpg", [(ROAD, "yes")], f"q{n}") for n in range(2)]
    with pytest.raises(DataError, match="answers no question of the test set"):
        read(roads, answers, "other.json")
    assert said(roads, [{"image": row["image_id"], "answer": row["answer"]} for row in answers], "bare.json") == [
        "said 0",
        "said 1",
    ]


def test_a_question_that_is_asked_twice_about_an_image_needs_one_answer(said: Any, record: Any) -> None:
    test = [record("LR/Train/1.tif", [(ROAD, "yes"), (ROAD, "yes")], "a")]
    assert said(test, [{"image": "1.tif", "question": ROAD, "answer": "no"}]) == ["no", "no"]


def test_captions_and_questions_of_one_record_are_told_apart_by_their_words(said: Any, record: Any) -> None:
    test = [record(f"V/{n}.png", [("Describe the image", "a port"), (ROAD, "yes")], str(n)) for n in range(2)]
    asked = [(n, text) for n in (1, 0) for text in (ROAD, "Describe the image")]
    answers = [{"id": n, "question": text, "answer": f"{n} {text[:2]}"} for n, text in asked]
    assert said(test, answers) == ["0 De", "0 Is", "1 De", "1 Is"]


def test_positions_need_as_many_answers_as_questions(read: Any, questions: Any) -> None:
    answers = [{"question": ROAD, "answer": "yes", "annotation": "yes"}]
    for partial in (False, True):
        with pytest.raises(DataError, match="has 1 answers with neither an id nor an image, and the test set has 6"):
            read(questions, answers, partial=partial)


def test_a_position_alone_proves_nothing(read: Any, questions: Any) -> None:
    with pytest.raises(DataError, match="answers no question of the test set"):
        read(questions, [{"answer": "yes"}] * 6)


def test_partial_keeps_the_answered_questions_and_says_how_many(read: Any, questions: Any) -> None:
    found = read(questions, [*ALL[:2], *by_id((9, "no"))], partial=True)
    assert [record.id for record in found.records] == ["0", "1"]
    assert found.partial == {"answered": 2, "questions": 6} and found.origin["foreign"] == 1
    assert read(questions, ALL, partial=True).partial is None


def test_partial_keeps_all_references_of_a_captioned_image(read: Any, record: Any) -> None:
    test = [record(f"C/{n}.jpg", [("Describe it", f"{n} {k}")], f"{n}{k}") for n in range(2) for k in "ab"]
    found = read(test, by_id(("1b", "x")), partial=True)
    assert [turn.reference for row in found.records for turn in row.turns] == ["1 a", "1 b"]
    assert found.partial == {"answered": 1, "questions": 2}


def test_partial_takes_a_final_json_with_missing_records(read: Any, questions: Any) -> None:
    found = read(questions, questions[3:1:-1], partial=True)
    assert [record.id for record in found.records] == ["2", "3"] and found.origin is None
    assert found.partial == {"answered": 2, "questions": 6}


def test_of_two_models_the_questions_are_kept_that_both_answer(read: Any, questions: Any) -> None:
    from tasks.evaluation.answers.reading import keep_common

    one, other = read(questions, ALL[:3], partial=True), read(questions, ALL, "all.json", partial=True)
    for each in keep_common([one, other]):
        assert len(each.records) == 3 and each.partial == {"answered": 3, "questions": 6}
    apart = read(questions, ALL[4:], "rest.json", partial=True)
    with pytest.raises(DataError, match="no question in common"):
        keep_common([one, apart])


def asked(ids: range, answers: Any) -> Any:
    """Rows with the ids and, in the order of the test set, the question, reference and answer of each."""
    return [
        {"index": n, "question": q, "answer": reference, "prediction": text}
        for n, (q, reference), text in zip(ids, [(ROAD, "yes"), (MORE, "no")] * 3, answers, strict=True)
    ]


def test_row_numbers_are_not_mixed_with_ids_that_are_equal_by_chance(said: Any, questions: Any) -> None:
    for number, row in enumerate(questions):
        row["id"] = str(number + 1)
        row["conversations"][0]["value"], row["conversations"][1]["value"] = ((ROAD, "yes"), (MORE, "no"))[number % 2]
    assert said(questions, asked(range(6), "abcdef")) == list("abcdef")
    for row in questions:
        row["id"] = str(int(row["id"]) + 1)
    # most rows now are the test set's by id, question and reference: what the others are is open
    with pytest.raises(DataError, match="has 2 answers to no question of the test set"):
        said(questions, asked(range(6), "abcdef"), "further.json")


def test_an_unknown_id_is_foreign_even_at_the_position_of_the_same_question(read: Any, record: Any) -> None:
    test = [record(f"LR/Train/{n}.tif", [(ROAD, "yes")], str(n)) for n in range(6)]
    answers = [{"question_id": 99 if n == 3 else n, "prompt": ROAD, "text": "yes"} for n in range(6)]
    with pytest.raises(DataError, match="has 1 answers to no question of the test set: answer 4"):
        read(test, answers)
    assert read(test, answers, partial=True).partial == {"answered": 5, "questions": 6}


def test_partial_keeps_no_answer_that_fits_its_position_or_id_by_chance(read: Any, record: Any) -> None:
    test = [record(f"LR/Train/{n}.tif", [((ROAD, MORE)[n // 2 % 2], "yes")], str(n)) for n in range(6)]
    answers = [{"question": (ROAD, MORE)[n % 2], "answer": "yes", "annotation": "yes"} for n in range(6)]
    with pytest.raises(DataError, match="at 3 positions it answers a question other"):
        read(test, answers, partial=True)
    with pytest.raises(DataError, match="has 3 answers whose ids the test set has for another question"):
        read(test, [{**row, "id": n} for n, row in enumerate(answers)], "ids.json", partial=True)


@pytest.mark.parametrize("original", ["0", 0, ["0", "9"]])
def test_an_id_that_an_import_replaced_still_names_its_record(original: Any, said: Any, read: Any, record: Any) -> None:
    caption = record("VRSBench/a.png", [("Describe the image.", "two ships")], "0-2") | {"original_id": original}
    test = [record("VRSBench/a.png", [("How many ships are there?", "2")], "0"), caption]
    with pytest.raises(DataError, match="fits several questions of the test set"):
        read(test, by_id((0, "a ship")), partial=True)
    answers = [{"question_id": 0, "question": "Describe the image.", "answer": "a ship"}, *by_id(("0-2", "a ship"))]
    assert said(test, answers, partial=True) == ["a ship"]
