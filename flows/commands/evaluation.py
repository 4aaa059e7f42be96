"""`rsvlm evaluate` and `rsvlm compare`: scores of one model's answers, and which of two models is better."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows.commands.data import add_source


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `evaluate` and `compare`."""
    _add_evaluate(subparsers)
    _add_compare(subparsers)


def _add_evaluate(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "evaluate", help="score answers: metrics.json, per_answer.jsonl, report.html", description=run_evaluate.__doc__
    )
    parser.add_argument("--data", type=Path, required=True, metavar="TEST.json", help="the test set that was answered")
    parser.add_argument(
        "--predictions",
        type=Path,
        required=True,
        metavar="FINAL.json",
        help="the answers: the test set's records with the model's words as gpt's",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--train", type=Path, metavar="TRAIN.json", help="training set, for the controls")
    parser.add_argument("--images", type=Path, metavar="DIR", help="show the images of this folder in the report")
    parser.add_argument(
        "--base-predictions", type=Path, metavar="FINAL.json", help="show the base model's answers beside these"
    )
    audits = parser.add_mutually_exclusive_group()
    audits.add_argument(
        "--only-clean", type=Path, metavar="AUDIT_DIR", help="score only images that this audit calls clean"
    )
    audits.add_argument("--audit", type=Path, metavar="AUDIT_DIR", help="also score the images that it calls clean")
    parser.add_argument(
        "--checkpoints", type=Path, nargs="+", default=(), metavar="REPORT_DIR", help="draw curves over these reports"
    )
    add_source(parser)
    parser.add_argument("--lmms-eval", type=Path, metavar="DIR", help="also write a log in lmms-eval's format")
    parser.set_defaults(run=run_evaluate)


def _add_compare(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "compare",
        help="which of two or more evaluated models is better, and how surely",
        description=run_compare.__doc__,
    )
    parser.add_argument(
        "report_a",
        type=Path,
        metavar="REPORT_DIR_A",
        help="report that `rsvlm evaluate` wrote, or a run's folder reports: its final",
    )
    parser.add_argument("report_b", type=Path, metavar="REPORT_DIR_B", help="the report that is judged against A")
    # argparse takes any number for one at least, unless there is a default
    parser.add_argument(
        "more",
        type=Path,
        nargs="*",
        default=(),
        metavar="REPORT_DIR",
        help="more that are judged against A, by Holm's correction",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the comparison as JSON")
    parser.set_defaults(run=run_compare)


def run_evaluate(options: argparse.Namespace) -> None:
    """Score the answers to a test set, write the report and print a short table."""
    from tasks.evaluation.caption_metrics import NOTE
    from tasks.evaluation.comparison import METRICS, PAGE
    from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
    from tasks.evaluation.lmms_eval_export import export_lmms_eval
    from tasks.files import read_json
    from tasks.settings import EvaluationConfig

    files = EvaluationFiles(
        options.data,
        options.predictions,
        options.train,
        options.only_clean or options.audit,
        options.base_predictions,
        options.images,
        tuple(options.checkpoints),
        options.source,
    )
    ref = evaluate(files, options.out, EvaluationConfig(only_clean=options.only_clean is not None))
    metrics = read_json(ref.path / METRICS)
    print_rows([("source", "score", "value", "95 %", "without image"), *_score_rows(metrics)])
    for source, scores in metrics["captioning"].items():
        if NOTE in scores:
            print(f"{source}: {scores[NOTE]}")
    for source, number in _left_out(metrics):
        print(f"{source}: {number} true answers hold no word and are not scored")
    if options.lmms_eval:
        print(f"lmms-eval log: {export_lmms_eval(ref.path, options.lmms_eval)}")
    print(f"report: {ref.path / PAGE}")


def run_compare(options: argparse.Namespace) -> None:
    """Compare reports and print a verdict for each source and metric."""
    from tasks.evaluation.comparison import compare, compare_several

    if options.more:
        result = compare_several(options.report_a, [options.report_b, *options.more], options.out)
        found = result["comparisons"]
    else:
        found = [compare(options.report_a, options.report_b, options.out)]
    rows = [row for each in found for row in _verdict_rows(each)]
    print_rows([("B", "source", "metric", "A", "B", "B - A", "95 %", "p", "B is", "images", "needed"), *rows])


def _verdict_rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            result["b"]["model"],
            source,
            metric,
            *map(_number, (found["a"], found["b"], found["difference"])),
            _interval(found["ci95"]),
            f"{found.get('p_value_holm', found['p_value']):.4f}",
            found["verdict"],
            str(metrics["images"]),
            str(found["images_needed"] or "-"),
        )
        for task in ("captioning", "vqa")
        for source, metrics in result[task].items()
        for metric, found in metrics.items()
        if isinstance(found, dict)
    ]


def _left_out(metrics: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The sources with true answers that hold no word, and how many; of captions and of questions each."""
    from tasks.evaluation.scoring import UNSCORED_SOURCES

    for task in ("captioning", "vqa"):
        some = {source: found.get("empty_references") for source, found in metrics[task].items()}
        none = metrics.get(UNSCORED_SOURCES, {}).get(task, {})
        yield from ((source, number) for source, number in {**some, **none}.items() if number)


def _score_rows(metrics: dict[str, Any]) -> list[tuple[str, ...]]:
    from tasks.evaluation.controls.gains import blind_score

    return [
        (source, name, _number(scores[name]), _interval(scores["ci95"][name]), _number(blind_score(scores["controls"])))
        for task, name in (("captioning", "CIDEr"), ("vqa", "accuracy"))
        for source, scores in metrics[task].items()
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(bounds: list[float] | None) -> str:
    return "-" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def print_rows(rows: list[tuple[str, ...]]) -> None:
    """Print rows as columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
