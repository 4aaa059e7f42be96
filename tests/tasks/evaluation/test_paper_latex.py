"""The LaTeX of a paper's table."""

import copy
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from support.latex import compile_latex, read_tables

from tasks.evaluation.comparison import compare, compare_several
from tasks.evaluation.metrics.registry import CAPTION_METRICS, QUESTION_METRICS
from tasks.evaluation.paper_latex import escape_latex, latex_text
from tasks.evaluation.paper_tables import Cell, Column, PaperTable, paper_table

HOSTILE = r"""[a]*_50%&{b}~c^d\<e>|"f" g--h---i$#'é`"""


def difference(verdict: str) -> Any:
    return {"a": 0.0, "b": 0.0, "difference": 0.0, "ci95": None, "p_value": 0.5, "verdict": verdict}


def metrics_of(**captioning: Any) -> Any:
    protocol = {
        "tokenizer": "PTBTokenizer 3.4.1",
        "metrics": "pycocoevalcap 1.2: CIDEr-D",
        "vqa": "exact match",
        "test_set": {"records": 2600, "sha256": "0" * 64, "images": "all"},
        "intervals": {"method": "Wilson's", "over": "images", "level": 0.95},
        "fingerprint": "0123456789abcdef" * 4,
    }
    questions = {"LR": {"images": 1, "questions": 1234, "ci95": {}}}
    return {"protocol": protocol, "captioning": {"NWPU": {"images": 315, "ci95": {}, **captioning}}, "vqa": questions}


CIDER = Column("captioning", "NWPU", CAPTION_METRICS["CIDEr"])
ACCURACY = Column("vqa", "LR", QUESTION_METRICS["accuracy"])


@pytest.fixture
def table() -> PaperTable:
    return PaperTable(
        models=["base", "final", "other"],
        digests=["a" * 64, "b" * 64, "c" * 64],
        metrics=[metrics_of()] * 3,
        cells={
            CIDER: {
                0: Cell(0.9941, [0.91, 1.0625], None, False),
                1: Cell(1.25, [1.1, 1.4], difference("better"), True),
                2: Cell(0.5, None, difference("worse"), False),
            },
            ACCURACY: {0: Cell(0.7, [0.6, 0.8], None, True), 1: Cell(0.71, [0.6, 0.8], difference("tie"), True)},
        },
        all_metrics=False,
    )


@pytest.fixture(scope="module")
def full(full_report: Path, tmp_path_factory: pytest.TempPathFactory) -> PaperTable:
    """All metrics of a report on captions and questions and of its copy."""
    folder = copytree(full_report, tmp_path_factory.mktemp("paper") / HOSTILE)
    return paper_table([full_report, folder], [compare(full_report, folder, None)], all_metrics=True)


def caption_of(text: str) -> str:
    return " ".join(text[text.index(r"\caption{%") : text.index(r"\label")].split())


def test_cells_have_score_interval_mark_and_the_best_in_bold(table: PaperTable) -> None:
    (rows,) = read_tables(latex_text(table))
    assert rows == [
        ["", "NWPU", "LR"],
        ["Model", "CIDEr", "accuracy"],
        ["base", "0.994", r"\textbf{0.700}"],
        ["", r"{\scriptsize [0.910, 1.062]}", r"{\scriptsize [0.600, 0.800]}"],
        ["final", r"\textbf{1.250}$^{\star}$", r"\textbf{0.710}"],
        ["", r"{\scriptsize [1.100, 1.400]}", r"{\scriptsize [0.600, 0.800]}"],
        ["other", r"0.500$^{\dagger}$", "--"],
        ["", "", ""],
    ]


def test_the_caption_has_the_protocol(table: PaperTable) -> None:
    caption = caption_of(latex_text(table))
    for part in (
        r"3 models on 2,600 test records (protocol \texttt{0123456789ab}): NWPU (315 images), "
        "LR (1,234 questions, 1 image).",
        r"95\,\% interval (Wilson's over images)",
        r"$^{\star}$\,better, $^{\dagger}$\,worse than base: $p < 0.05$ (two-sided paired test over images, "
        "corrected for skewness; Holm's correction over all sources, metrics and models)",
        "No score is multiplied by 100, including CIDEr.",
        "PTBTokenizer 3.4.1; pycocoevalcap 1.2: CIDEr-D.",
        "Questions: exact match.",
    ):
        assert part in caption


def test_the_correction_of_two_models_is_named(table: PaperTable) -> None:
    assert "Holm" in latex_text(replace(table, models=table.models[:2], digests=table.digests[:2]))


def test_the_clean_part_is_named(table: PaperTable) -> None:
    metrics = copy.deepcopy(table.metrics[0])
    metrics["protocol"]["test_set"]["images"] = "clean"
    assert "test records, clean images only (protocol" in caption_of(latex_text(replace(table, metrics=[metrics] * 3)))


def test_reports_may_differ_in_their_intervals(table: PaperTable) -> None:
    metrics = [copy.deepcopy(each) for each in table.metrics]
    del metrics[1]["protocol"]["intervals"]
    metrics[1]["protocol"]["bootstrap"] = {"over": "images", "draws": 500, "seed": 28, "level": 0.95}
    expected = "Wilson's over images; percentile bootstrap over images, draws 500, seed 28"
    assert expected in caption_of(latex_text(replace(table, metrics=metrics)))


def test_questions_alone_say_nothing_of_captions(table: PaperTable) -> None:
    caption = caption_of(latex_text(replace(table, cells={ACCURACY: table.cells[ACCURACY]})))
    assert "CIDEr" not in caption and "NWPU" not in caption and "PTB" not in caption


def test_the_reason_for_a_missing_cider_is_given(table: PaperTable) -> None:
    metrics = metrics_of(note="CIDEr is not defined for a single image.")
    text = latex_text(replace(table, metrics=[metrics] * 3, cells={CIDER: {}}))
    assert "NWPU: CIDEr is not defined for a single image." in caption_of(text)
    assert read_tables(text)[0][2:] == [["base", "--"], ["final", "--"], ["other", "--"]]
    assert "Brackets" not in text


def test_all_metrics_have_one_float_per_task(full: PaperTable) -> None:
    text = latex_text(full)
    captions, questions = read_tables(text)
    assert captions[0] == ["Model", "CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L"]
    assert questions[0] == ["Model", "accuracy", "accuracy binned", "accuracy lenient", "average accuracy"]
    assert captions[1] == [r"\textit{NWPU}"] * 8 and questions[1] == [r"\textit{LR}"] * 5
    untested = [part.split(".")[0] for part in " ".join(text.split()).split("only the best value is bold: ")[1:]]
    assert [each.split(", ") for each in untested] == [
        ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR"],
        ["accuracy binned", "accuracy lenient", "average accuracy"],
    ]
    assert "SPICE is missing: its models are not installed" in text
    fingerprint = full.protocol["fingerprint"][:12]
    assert [line for line in text.split() if "label" in line] == [
        rf"\label{{tab:rsvlm-{fingerprint}-{task}}}" for task in ("captioning", "vqa")
    ]


def test_many_sources_are_split_into_panels(table: PaperTable) -> None:
    cells = {Column("captioning", f"S{number}", CIDER.metric): table.cells[CIDER] for number in range(11)}
    first, second = read_tables(latex_text(replace(table, cells=cells)))
    assert (len(first[0]), len(second[0])) == (7, 6)
    assert first[0][1:] + second[0][1:] == [f"S{number}" for number in range(11)]


def test_few_columns_fit_one_text_column(table: PaperTable) -> None:
    cells = {Column("captioning", f"S{number}", CIDER.metric): table.cells[CIDER] for number in range(4)}
    assert r"\begin{table}" in latex_text(table)
    assert r"\begin{table*}" in latex_text(replace(table, cells=cells))


def test_texts_are_escaped() -> None:
    assert escape_latex("a_b 50% & {c}") == r"a\_b 50\% \& \{c\}"
    assert escape_latex('\\ ~ ^ "') == r"\textbackslash{} \textasciitilde{} \textasciicircum{} \symbol{34}"
    assert escape_latex("[x]* a---b $1 #2") == r"{[}x{]}{*} a-{}-{}-b \$1 \#2"
    assert escape_latex("two\nlines\t\x00and\u2028more") == "two lines and more"


def test_negative_numbers_have_a_minus_sign(table: PaperTable) -> None:
    cells = {CIDER: {0: Cell(-0.25, [-0.5, 0.1], None, True)}}
    rows = read_tables(latex_text(replace(table, cells=cells)))[0]
    assert rows[2:4] == [["base", r"\textbf{$-$0.250}"], ["", r"{\scriptsize [$-$0.500, 0.100]}"]]


def test_hostile_names_keep_the_table_in_order(table: PaperTable, full: PaperTable) -> None:
    names = replace(table, models=[HOSTILE, "*", "[]"])
    (rows,) = read_tables(latex_text(names))
    assert [rows[2][0], rows[4][0], rows[6][0]] == [escape_latex(HOSTILE), "{*}", "{[}{]}"]
    assert read_tables(latex_text(full))


def test_pdflatex_compiles_the_tables(table: PaperTable, full: PaperTable, tmp_path: Path) -> None:
    for number, each in enumerate((replace(table, models=[HOSTILE, "*", "[]"]), full)):
        (tmp_path / str(number)).mkdir()
        log = compile_latex(latex_text(each), tmp_path / str(number))
        if log is None:
            pytest.skip("pdflatex is not installed")
        assert "Float too large" not in log


@pytest.mark.parametrize(
    "damage",
    [("  }\n", ""), ("c & accuracy", "c accuracy"), (r"a\_b &", "a_b &"), (r"\end{tabular}", ""), (r"}$^", "$^")],
)
def test_the_reader_of_latex_is_strict(table: PaperTable, damage: tuple[str, str]) -> None:
    text = latex_text(replace(table, models=["a_b", "c", "d"])).replace("CIDEr & a", "c & a")
    assert read_tables(text) and damage[0] in text
    with pytest.raises((AssertionError, IndexError)):
        read_tables(text.replace(*damage))


def test_the_same_reports_give_the_same_text(full_report: Path, full: PaperTable) -> None:
    assert latex_text(full) == latex_text(copy.deepcopy(full))
    three = [full_report] * 3
    found = paper_table(three, compare_several(three[0], three[1:], None)["comparisons"], all_metrics=False)
    assert "Holm" in latex_text(found)
