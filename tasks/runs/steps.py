"""The result of a run on Prefect's pages."""

from collections.abc import Mapping

from tasks.orchestration.artifacts import artifact_key, link_to, show_markdown
from tasks.paths import BASE, FINAL, REPORT_PAGE, RunFolder
from tasks.runs.scores import RunScore, read_scores, verdict_of_scores
from tasks.storage.runs import Run

VERDICTS = {"better": "better than the base model", "worse": "worse than the base model", "tie": "like the base model"}
COLUMNS = ("source", "score", "tuned", "95 %", "base", "image-blind", "verdict")


def show_result(run: Run) -> None:
    """Show an experiment's scores in a table, the verdict, and where its reports are."""
    text = result_markdown(read_scores(run.folder))
    reports = "\n".join(f"- {_report(run.folder, model)}" for model in (FINAL, BASE))
    show_markdown(f"{text}\n\n{reports}", artifact_key("result", run.name), f"Result of {run.name}")


def _report(folder: RunFolder, model: str) -> str:
    return link_to((folder.report(model) / REPORT_PAGE).absolute(), f"Report of {model}")


def result_markdown(scores: Mapping[str, RunScore]) -> str:
    """The verdict, and a table: the tuned model's scores beside the base model's and the best image-blind ones."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *(_row(source, score) for source, score in scores.items())]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    verdict = verdict_of_scores(scores)
    return f"**The tuned model is {verdict}.**\n\n{table}" if verdict else table


def _row(source: str, score: RunScore) -> list[str]:
    interval = " to ".join(f"{bound:.3f}" for bound in score.ci95 or ())
    values = (_shown(score.value), interval, _shown(score.base), _shown(score.blind))
    return [source, score.metric, *values, verdict_in_words(score)]


def verdict_in_words(score: RunScore) -> str:
    """Whether the tuned model is better than its base, and whether it is better than without the image."""
    words = [VERDICTS[score.verdict]] if score.verdict else []
    if score.sees is not None:
        words.append(f"{'better' if score.sees else 'not shown to be better'} than image-blind baselines")
    return ", ".join(words) or "not compared"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
