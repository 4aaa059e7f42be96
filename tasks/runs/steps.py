"""The result of a run on Prefect's pages."""

from tasks.evaluation.report.summary import summary_markdown
from tasks.evaluation.report_folder import read_metrics
from tasks.orchestration.artifacts import artifact_key, link_to, show_markdown, show_table
from tasks.paths import BASE, FINAL, REPORT_PAGE, RunFolder
from tasks.runs.scores import RunScore, read_scores
from tasks.storage.runs import Run

VERDICTS = {"better": "better than the base model", "worse": "worse than the base model", "tie": "like the base model"}


def show_result(run: Run) -> None:
    """Show an experiment's scores, in a table and in words, and where its reports are."""
    rows = [score_row(source, score) for source, score in read_scores(run.folder).items()]
    show_table(rows, artifact_key("result-table", run.name), f"Scores of {run.name}")
    verdict = summary_markdown(f"{FINAL} of {run.name}", read_metrics(run.folder.report(FINAL)))
    reports = "\n".join(f"- {_report(run.folder, model)}" for model in (FINAL, BASE))
    show_markdown(f"{verdict}\n\n{reports}", artifact_key("result", run.name), f"Result of {run.name}")


def _report(folder: RunFolder, model: str) -> str:
    return link_to((folder.report(model) / REPORT_PAGE).absolute(), f"Report of {model}")


def score_row(source: str, score: RunScore) -> dict[str, object]:
    """The row of one source: the tuned model's score beside the base model's and the best image-blind baseline's."""
    return {
        "source": source,
        "score": score.metric,
        "tuned": _rounded(score.value),
        "95 %": " to ".join(f"{bound:.3f}" for bound in score.ci95 or ()),
        "base": _rounded(score.base),
        "image-blind": _rounded(score.blind),
        "verdict": verdict_in_words(score),
    }


def verdict_in_words(score: RunScore) -> str:
    """Whether the tuned model is better than its base, and whether it is better than without the image."""
    words = [VERDICTS[score.verdict]] if score.verdict else []
    if score.sees is not None:
        words.append(f"{'better' if score.sees else 'not shown to be better'} than image-blind baselines")
    return ", ".join(words) or "not compared"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
