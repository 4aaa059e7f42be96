"""A report in the form of lmms-eval's logs, so that its viewers show it.

The form is that which the EvaluationTracker of lmms-eval 0.7.3 writes and its web viewer reads:
MODEL/DATE_results.json beside MODEL/DATE_samples_TASK.jsonl, a task for each source, with the scores under
"METRIC,none".
"""

import json
import re
from collections import defaultdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tasks.evaluation.caption_metrics import CAPTION_METRICS, SPICE
from tasks.evaluation.comparison import METRICS, read_report
from tasks.evaluation.tables import Row, is_scored
from tasks.files import read_json, write_json, write_json_lines

TASK_METRICS = {"captioning": (*CAPTION_METRICS, SPICE), "vqa": ("accuracy",)}
# two standard errors to either side, nearly
INTERVAL_ERRORS = 3.92
FILTER = "none"


def export_lmms_eval(report: Path, out: Path) -> Path:
    """Write a report as a log of lmms-eval below the folder `out`; the path of its results file.

    The date in the names is that of the report's file. Raises UserError where that file holds something else.
    """
    found, metrics = read_report(report), read_json(report / METRICS)
    made = datetime.fromtimestamp((report / METRICS).stat().st_mtime, UTC)
    name = re.sub(r"[^\w.-]+", "_", found.name)
    # the viewer shows nothing at all where the date is no text of this form
    date = made.strftime("%Y%m%d_%H%M%S")
    samples = _samples_by_task(found.rows)
    results = _results(name, metrics, samples, date)
    place = out / name / f"{date}_results.json"
    if place.exists() and read_json(place) != results:
        raise UserError(f"{place} already holds another log: give another --lmms-eval, or move it away.")
    for task, rows in samples.items():
        write_json_lines(place.with_name(f"{date}_samples_{task}.jsonl"), rows)
    write_json(place, results)
    return place


def task_name(task: str, source: str) -> str:
    """A source's task in the log."""
    return f"rsvlm_{source.lower()}_{'captions' if task == 'captioning' else 'vqa'}"


def _samples_by_task(rows: list[Row]) -> dict[str, list[dict[str, Any]]]:
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if is_scored(row):
            task = samples[task_name(row["task"], row["source"])]
            task.append(_sample(len(task), row))
    return samples


def _sample(number: int, row: Row) -> dict[str, Any]:
    """A line of a samples file: what is asked, true and answered, and as the viewer's labels scores and image."""
    doc = {key: row[key] for key in ("id", "record", "image", "turn", "question", "references", "type")}
    scores = {"accuracy": float(row["right"])} if row["task"] == "vqa" else row
    return {
        "doc_id": number,
        "target": row["references"][0] if row["task"] == "vqa" else str(row["references"]),
        "filtered_resps": row["answer"],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        **{name: scores[name] for name in TASK_METRICS[row["task"]] if scores[name] is not None},
        "id": row["id"],
        "image": row["image"],
        "type": row["type"],
        "input": row["question"],
    }


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _results(name: str, metrics: dict[str, Any], samples: dict[str, list[Any]], date: str) -> dict[str, Any]:
    scores = {
        task_name(task, source): _scores(of_source, TASK_METRICS[task])
        for task in TASK_METRICS
        for source, of_source in metrics[task].items()
    }
    return {
        "results": {task: {"alias": task, **found} for task, found in scores.items()},
        "group_subtasks": {task: [] for task in scores},
        "configs": {task: {"task": task, "output_type": "generate_until"} for task in scores},
        "versions": dict.fromkeys(scores, metrics["version"]),
        "n-shot": dict.fromkeys(scores, 0),
        "higher_is_better": {
            task: {key.split(",")[0]: True for key in found if "_stderr" not in key} for task, found in scores.items()
        },
        "n-samples": {task: {"original": len(rows), "effective": len(rows)} for task, rows in samples.items()},
        "config": {"model": "rsvlm", "model_args": f"pretrained={name}", "protocol": metrics["protocol"]},
        "date": date,
        "model_source": "rsvlm",
        "model_name": name,
        "model_name_sanitized": name,
        "task_hashes": {
            task: _hash("".join(f"sample_{place}{row['doc_hash']}" for place, row in enumerate(rows)))
            for task, rows in samples.items()
        },
        "total_evaluation_time_seconds": None,
    }


def _scores(scores: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric in (name for name in names if scores[name] is not None):
        found[f"{metric},{FILTER}"] = scores[metric]
        interval = scores["ci95"].get(metric)
        found[f"{metric}_stderr,{FILTER}"] = (interval[1] - interval[0]) / INTERVAL_ERRORS if interval else "N/A"
    return found
