"""Files of answers as other programs write them: each is recognised, and comes to the same answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DataError

ROAD, MORE = "Is there a road?", "Are there more roads than rivers?"
SAYS = ["yes", "no", "no", "yes", "yes", "yes"]
HINT = "\nAnswer the question using a single word or phrase."


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def rows(**keys: Any) -> list[dict[str, Any]]:
    """A row for each question; a key is a value, or a function of the question's number."""
    return [{name: each(n) if callable(each) else each for name, each in keys.items()} for n in range(6)]


def question(n: int) -> str:
    return MORE if n % 2 else ROAD


def image(n: int) -> str:
    return f"{n // 2}.tif"


LMMS = rows(
    doc_id=lambda n: n, target=lambda n: "no" if n % 2 else "yes", input=lambda n: f"<image>\n{question(n)}{HINT}"
)
FORMATS = {
    "LLaVA answers": lines(
        rows(question_id=lambda n: n, prompt=question, text=SAYS.__getitem__, answer_id="a", model_id="m", metadata={})
    ),
    "GeoChat answers": lines(rows(question_id=lambda n: n, image_id=image, answer=SAYS.__getitem__)),
    "EarthDial answers": lines(
        rows(
            question=lambda n: f"{question(n)} Answer the question using a single word.",
            answer=SAYS.__getitem__,
            annotation=lambda n: "no" if n % 2 else "yes",
            vqa_type="presence",
        )
    ),
    "lmms-eval samples": lines(
        [{**row, "filtered_resps": [SAYS[n]], "resps": [[SAYS[n]]], "doc_hash": "x"} for n, row in enumerate(LMMS)]
    ),
    "lmms-eval samples ": json.dumps(
        {
            "args": {},
            "logs": [
                {
                    **{key: row[key] for key in ("doc_id", "target")},
                    "arguments": [[f"{question(n)}{HINT}", "{}"]],
                    "filtered_resps": [SAYS[n]],
                }
                for n, row in enumerate(LMMS)
            ],
        }
    ),
    "JSON table": json.dumps(rows(question_id=str, answer=SAYS.__getitem__)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_recognised_and_read(name: str, read: Any, questions: Any) -> None:
    suffix = "jsonl" if "\n" in FORMATS[name] else "json"
    found = read(questions, FORMATS[name], f"answers.{suffix}")
    assert [turn.answer for record in found.records for turn in record.turns] == SAYS
    assert (
        found.origin["format"] == name.strip() and found.origin["file"] == f"answers.{suffix}" and found.partial is None
    )


@pytest.mark.parametrize("name", ["LLaVA answers", "GeoChat answers", "lmms-eval samples"])
def test_the_order_of_the_answers_does_not_matter(name: str, said: Any, questions: Any) -> None:
    assert said(questions, "\n".join(FORMATS[name].split("\n")[-2::-1]), "answers.jsonl") == SAYS


@pytest.mark.parametrize(
    "row",
    [
        {"image": "LR/Train/{}.tif", "question": "{q}"},
        {"image": "/data/images/LR/Train/{}.tif", "question": "{q}" + HINT},
        {"image_id": "{}", "question": "[vqa]  <image>\n {q}"},
        {"image_path": "{}.tif", "prompt": "A chat. USER: <image>\n{q} Answer yes or no. ASSISTANT:"},
        {"images": [{"path": "x/{}.jpg"}], "query": "<image>{q}"},
        {"images": [{"bytes": None, "path": "{}.tif"}], "messages": [{"role": "user", "content": "<image>{q}"}]},
    ],
)
def test_answers_without_ids_are_matched_by_image_and_question(row: Any, said: Any, questions: Any) -> None:
    def fill(value: Any, n: int) -> Any:
        text = json.dumps(value).replace("{q}", question(n)).replace("{}", str(n // 2))
        return json.loads(text)

    answers = [{**fill(row, n), "response": SAYS[n]} for n in reversed(range(6))]
    assert said(questions, answers) == SAYS


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_a_table_with_a_header_is_read(separator: str, said: Any, questions: Any) -> None:
    table = "".join(separator.join(row) + "\n" for row in [("id", "answer"), *((str(n), SAYS[n]) for n in range(6))])
    assert said(questions, "\ufeff" + table, "answers.csv") == SAYS
    assert said(questions, table.replace("0" + separator, "0.0" + separator), "other.csv") == SAYS


@pytest.mark.parametrize("header", ["ID,Prediction", "QuestionID,RESPONSE", "questionId,Answer", "ID,id,Answer"])
def test_the_names_of_columns_may_have_capitals(header: str, said: Any, questions: Any) -> None:
    before = "x," * (header.count(",") - 1)
    table = "".join(f"{before}{n},{SAYS[n]}\n" for n in range(6))
    assert said(questions, f"{header}\n{table}", "answers.csv") == SAYS


def test_a_cell_may_hold_separators_quotes_and_lines(said: Any, record: Any) -> None:
    test = [record("LR/Train/1.tif", [("What is it?", "a road")], "x")]
    assert said(test, 'id,answer\nx,"a ""road"", and\na river"\n', "answers.csv") == ['a "road", and\na river']


def test_a_vlmevalkit_table_has_the_reference_under_answer(said: Any, questions: Any) -> None:
    head = "index\tquestion\tanswer\timage_path\tprediction"
    body = "\n".join(f"{n + 1}\t{question(n)}\tyes\t/tmp/{image(n)}\t{SAYS[n]}" for n in range(6))
    assert said(questions, f"{head}\n{body}\n", "model_set.tsv") == SAYS


def test_an_excel_table_is_read(said: Any, questions: Any, tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    book = openpyxl.Workbook()
    book.active.append(["index", "question", "answer", "prediction"])
    for n in range(6):
        book.active.append([n, question(n), "yes", SAYS[n]])
    book.save(tmp_path / "model_set.xlsx")
    from tasks.evaluation.answers.formats import recognise

    file = recognise(tmp_path / "model_set.xlsx")
    assert file.format == "VLMEvalKit table" and [given.answer for given in file.answers()] == SAYS


def test_an_index_that_counts_from_1_is_not_taken_for_an_id(read: Any, record: Any) -> None:
    test = [record(f"LR/Train/{n}.tif", [(ROAD, "no" if n % 2 else "yes")], str(n)) for n in range(4)]
    table = "".join(f"{n + 1},{ROAD},{'no' if n % 2 else 'yes'},said {n}\n" for n in range(4))
    found = read(test, "index,question,answer,prediction\n" + table, "model_set.csv")
    assert [turn.answer for row in found.records for turn in row.turns] == [f"said {n}" for n in range(4)]
    assert found.origin["matched_by"] == {"position": 4}


def test_predictions_of_llama_factory_are_matched_by_position(said: Any, questions: Any) -> None:
    prompt = "system\nYou are a helpful assistant.\nuser\n<image>{}\nassistant\n"
    answers = rows(
        prompt=lambda n: prompt.format(question(n)), predict=SAYS.__getitem__, label=lambda n: "no" if n % 2 else "yes"
    )
    assert said(questions, lines(answers), "generated_predictions.jsonl") == SAYS


def test_our_own_log_of_lmms_eval_comes_to_the_same_answers(
    read: Any, questions: Any, write: Any, tmp_path: Path
) -> None:
    from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
    from tasks.evaluation.lmms_eval_export import export_lmms_eval
    from tasks.settings import EvaluationConfig

    answered = json.loads(json.dumps(questions))
    for row, text in zip(answered, SAYS, strict=True):
        row["conversations"][1]["value"] = text
    files = EvaluationFiles(write("test.json", questions), write("final.json", answered))
    log = export_lmms_eval(evaluate(files, tmp_path / "report", EvaluationConfig(gallery=0)).path, tmp_path / "log")
    [samples] = log.parent.glob("*_samples_*.jsonl")
    found = read(questions, samples.read_text(), "samples.jsonl")
    assert [turn.answer for record in found.records for turn in record.turns] == SAYS
    assert found.origin["format"] == "lmms-eval samples"


def test_a_json_object_of_answers_by_id_is_read(said: Any, questions: Any) -> None:
    assert said(questions, dict(zip("012345", SAYS, strict=True))) == SAYS
    assert said(questions, {"answers": rows(question_id=lambda n: n, answer=SAYS.__getitem__)}, "a.json") == SAYS


def test_stubs_of_another_split_in_rsvqas_answers_are_no_answers(said: Any, questions: Any) -> None:
    stubs = [{"id": n, "active": False} for n in range(3)]
    filled = [{"id": 40 + n, "question_id": n, "answer": SAYS[n], "active": True} for n in range(6)]
    assert said(questions, {"answers": [*stubs, *filled]}) == SAYS


def test_coco_results_answer_all_captions_of_an_image(said: Any, record: Any) -> None:
    ask = "Describe the image."
    test = [record("C/a.jpg", [(ask, "a plane")], "1"), record("C/a.jpg", [(ask, "one plane")], "2")]
    test += [{**record("C/x_07.jpg", [(ask, "a road")], "3"), "image_id": 12}]
    for name in ("a.jpg", "a"):
        answers = [{"image_id": name, "caption": "a plane"}, {"image_id": 12, "caption": "roads"}]
        assert said(test, answers) == ["a plane", "a plane", "roads"]
    # without a field of the record, the number in the file's name
    del test[2]["image_id"]
    assert said(test, [{"image_id": "a.jpg", "caption": "x"}, {"image_id": 7, "caption": "y"}]) == ["x", "x", "y"]


def test_earthdial_captions_are_matched_by_position_and_references(said: Any, record: Any) -> None:
    ask = "Describe the image."
    test = [record(f"C/{n}.jpg", [(ask, f"{n} {word}")], f"{n}{word}") for n in range(3) for word in ("planes", "jets")]
    answers = [{"question": ask, "answer": f"said {n}", "caption0": f"{n} planes", "caption1": "?"} for n in range(3)]
    assert said(test, answers) == [f"said {n}" for n in range(3) for _ in range(2)]
    with pytest.raises(DataError, match=r"at 2 positions it answers a question other .*: answer 1"):
        said(test, answers[::-1], "turned.json")


def test_answers_that_are_numbers_are_texts(said: Any, record: Any) -> None:
    test = [record("LR/Train/1.tif", [("How many roads are there?", "3")], "x")]
    for value in (3, 3.0, "3", ["3"]):
        assert said(test, [{"id": "x", "answer": value}], f"{value}.json") == ["3"]
    own = record("LR/Train/1.tif", [("How many roads are there?", "3")], "x")
    own["conversations"][1]["value"] = 3
    assert said(test, [own], "final.json") == ["3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"question_id": 1, "image": "1.tif", "text": ROAD, "category": "presence"}], "holds questions, not answers"),
        ([{"a": 1}], "holds no answers; its first row has 'a'"),
        ([], "holds no answers"),
        ([3], "begins with 3, which is not an answer"),
        ("id;answer", "holds no answers"),
        ("\n\n", "has no list of records|cut off or damaged"),
        ([{"id": 1, "answer": "yes"}, {"id": 2}], "answer 2 has no answer, but 'id'"),
    ],
)
def test_a_file_without_answers_is_refused(content: Any, message: str, read: Any, questions: Any) -> None:
    with pytest.raises(DataError, match=message):
        read(questions, content, "answers.csv" if isinstance(content, str) and ";" in content else "answers.json")


def test_a_table_with_more_cells_than_columns_is_refused(read: Any, questions: Any) -> None:
    with pytest.raises(DataError, match="row 2 has 3 cells, the header 2: put texts"):
        read(questions, "id,answer\n1,yes, it is\n", "answers.csv")
