"""Export a report as a log of lmms-eval, for its viewers.

The format is what the EvaluationTracker of lmms-eval 0.7.3 writes and its web viewer reads: MODEL/DATE_results.json
and MODEL/DATE_samples_TASK.jsonl, with one task per source and the scores under "METRIC,none".
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from tasks.errors import UserError
from tasks.evaluation.metrics.registry import METRICS_BY_TASK, Metric, metrics_of
from tasks.evaluation.report_folder import read_report
from tasks.evaluation.scores import Metrics, SourceScores, metric_value, of_task
from tasks.evaluation.tables import AnswerRow, is_scored, row_score
from tasks.files import read_json, write_json, write_json_lines
from tasks.paths import METRICS

# width of a 95 % interval in standard errors
INTERVAL_ERRORS = 3.92
FILTER = "none"
DOCUMENT = ("id", "record", "image", "turn", "question", "references", "type")


def export_lmms_eval(report: Path, out: Path) -> Path:
    """Write a report as a log of lmms-eval to the folder `out`; returns the path of its results file.

    The date in the names is that of the report. Raises UserError if the results file holds something else.
    """
    found = read_report(report)
    written = datetime.fromtimestamp((report / METRICS).stat().st_mtime, UTC)
    name = re.sub(r"[^\w.-]+", "_", found.name)
    # the viewer shows nothing at all where the date is not a text of this form
    date = written.strftime("%Y%m%d_%H%M%S")
    samples = _samples_by_task(found.rows)
    results = _results(name, found.metrics, samples, date)
    path = out / name / f"{date}_results.json"
    if path.exists() and read_json(path) != results:
        raise UserError(f"{path} already holds another log: give another --lmms-eval, or move it away.")
    for task, rows in samples.items():
        write_json_lines(path.with_name(f"{date}_samples_{task}.jsonl"), rows)
    write_json(path, results)
    return path


def task_name(task: str, source: str) -> str:
    """The name of a source's task in the log."""
    return f"rsvlm_{source.lower()}_{'captions' if task == 'captioning' else task}"


def _samples_by_task(rows: Iterable[AnswerRow]) -> dict[str, list[dict[str, object]]]:
    samples: dict[str, list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        if is_scored(row):
            task = samples[task_name(row["task"], row["source"])]
            task.append(_sample(len(task), row))
    return samples


def _sample(number: int, row: AnswerRow) -> dict[str, object]:
    """A line of a samples file: question, reference answer, answer, and scores and image as labels of the viewer."""
    doc = {key: value for key, value in row.items() if key in DOCUMENT}
    scores = {metric.name: row_score(row, metric.column) for metric in metrics_of(row["task"])}
    return {
        "doc_id": number,
        "target": row["references"][0] if row["task"] != "captioning" else str(row["references"]),
        "filtered_resps": row["answer"],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        **{name: float(value) for name, value in scores.items() if value is not None},
        "id": row["id"],
        "image": row["image"],
        "type": row["type"],
        "input": row["question"],
    }


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _results(name: str, metrics: Metrics, samples: dict[str, list[dict[str, object]]], date: str) -> dict[str, object]:
    by_task = {
        task_name(task, source): (of_source, metrics_of(task))
        for task in METRICS_BY_TASK
        for source, of_source in of_task(metrics, task).items()
    }
    scores = {task: _scores(of_source, known) for task, (of_source, known) in by_task.items()}
    return {
        "results": {task: {"alias": task, **found} for task, found in scores.items()},
        "group_subtasks": {task: [] for task in scores},
        "configs": {task: {"task": task, "output_type": "generate_until"} for task in scores},
        "versions": dict.fromkeys(scores, metrics["version"]),
        "n-shot": dict.fromkeys(scores, 0),
        "higher_is_better": {
            task: {
                metric.name: metric.higher_is_better for metric in known if f"{metric.name},{FILTER}" in scores[task]
            }
            for task, (_, known) in by_task.items()
        },
        "n-samples": {task: {"original": len(rows), "effective": len(rows)} for task, rows in samples.items()},
        "config": {"model": "rsvlm", "model_args": f"pretrained={name}", "protocol": metrics["protocol"]},
        "date": date,
        "model_source": "rsvlm",
        "model_name": name,
        "model_name_sanitized": name,
        "task_hashes": {
            task: _hash("".join(f"sample_{number}{row['doc_hash']}" for number, row in enumerate(rows)))
            for task, rows in samples.items()
        },
        "total_evaluation_time_seconds": None,
    }


def _scores(scores: SourceScores, metrics: list[Metric]) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    for name in (metric.name for metric in metrics):
        value, interval = metric_value(scores, name), scores["ci95"].get(name)
        if value is not None:
            found[f"{name},{FILTER}"] = value
            found[f"{name}_stderr,{FILTER}"] = (interval[1] - interval[0]) / INTERVAL_ERRORS if interval else "N/A"
    return found
