"""`rsvlm evaluate` and `rsvlm compare`: score one model's answers, and compare reports."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands.data import add_source
from flows.commands.experiment import add_workspace

if TYPE_CHECKING:
    from tasks.evaluation.compared_scores import ModelComparison
    from tasks.evaluation.scores import Interval, Metrics


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
        metavar="ANSWERS",
        help="the model's answers: a final.json, or a file of another program (.jsonl, .json, .csv, .tsv, .xlsx)",
    )
    parser.add_argument(
        "--partial", action="store_true", help="score the answered questions alone, if some are missing"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--train", type=Path, metavar="TRAIN.json", help="training set, for the image-blind baselines")
    parser.add_argument("--images", type=Path, metavar="DIR", help="show the images of this folder in the report")
    parser.add_argument(
        "--base-predictions", type=Path, metavar="FINAL.json", help="answers of the base model, to compare with"
    )
    audits = parser.add_mutually_exclusive_group()
    audits.add_argument(
        "--only-clean", type=Path, metavar="AUDIT_DIR", help="score only the images that this audit found clean"
    )
    audits.add_argument(
        "--audit", type=Path, metavar="AUDIT_DIR", help="also score the images that this audit found clean"
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        nargs="+",
        default=(),
        metavar="REPORT_DIR",
        help="reports of checkpoints, for curves over their scores",
    )
    parser.add_argument(
        "--robustness",
        type=Path,
        nargs="+",
        default=(),
        metavar="REPORT_DIR",
        help="reports on answers with `rsvlm predict --transform`, to compare with these",
    )
    add_source(parser)
    parser.add_argument("--lmms-eval", type=Path, metavar="DIR", help="also write a log in the format of lmms-eval")
    parser.set_defaults(run=run_evaluate)


def _add_compare(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "compare",
        help="compare the reports of two or more models",
        description=run_compare.__doc__,
    )
    parser.add_argument(
        "report_a",
        type=Path,
        metavar="REPORT_DIR_A",
        help="report that `rsvlm evaluate` wrote, or a run's name for its final model (NAME/base: for its base model)",
    )
    parser.add_argument("report_b", type=Path, metavar="REPORT_DIR_B", help="the report to compare with A")
    # without a default, argparse requires at least one
    parser.add_argument(
        "more",
        type=Path,
        nargs="*",
        default=(),
        metavar="REPORT_DIR",
        help="more reports to compare with A, with Holm's correction",
    )
    add_workspace(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the comparison as JSON")
    parser.add_argument("--latex", type=Path, metavar="FILE", help="write the table of a paper: models by sources")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the numbers of this table as CSV")
    parser.add_argument(
        "--all-metrics",
        action="store_true",
        help="all metrics in these tables, not only the headline metric per source",
    )
    parser.set_defaults(run=run_compare)


def run_evaluate(options: argparse.Namespace) -> None:
    """Score the answers to a test set, write the report and print a short table."""
    from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
    from tasks.evaluation.lmms_eval_export import export_lmms_eval
    from tasks.evaluation.report_folder import read_metrics
    from tasks.paths import REPORT_PAGE
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
        tuple(options.robustness),
        partial=options.partial,
    )
    ref = evaluate(files, options.out, EvaluationConfig(only_clean=options.only_clean is not None))
    metrics = read_metrics(ref.path)
    _print_answers(metrics)
    print_rows([("source", "score", "value", "95 %", "image-blind", "gain", "verdict"), *_score_rows(metrics)])
    for source, scores in metrics["captioning"].items():
        if "note" in scores:
            print(f"{source}: {scores['note']}")
    for source, number in _unscored(metrics):
        print(f"{source}: {number} reference answers contain no word and are not scored")
    if options.lmms_eval:
        print(f"lmms-eval log: {export_lmms_eval(ref.path, options.lmms_eval)}")
    print(f"report: {ref.path / REPORT_PAGE}")


def _print_answers(metrics: "Metrics") -> None:
    """Print which program's answers these are, and how many there are, if they are not of all questions."""
    if "answers" in metrics:
        found = metrics["answers"]
        print(f"answers: {found['format']}, matched by {', '.join(found['matched_by'])}")
        if found["foreign"]:
            print(f"left out: {found['foreign']} answers to no question of the test set")
    if "partial" in metrics:
        part = metrics["partial"]
        print(
            f"partial: only {part['answered']} of {part['questions']} questions are answered, the others are not scored"
        )


def run_compare(options: argparse.Namespace) -> None:
    """Compare reports and print a verdict for each source and metric."""
    from tasks.evaluation.comparison import compare, compare_several, write_comparison
    from tasks.evaluation.paper_tables import model_labels, require_free
    from tasks.evaluation.report_pages import find_report
    from tasks.files import write_text

    _check_files(options)
    given = options.report_a, options.report_b, *options.more
    reports = [find_report(each, options.workspace) for each in given]
    several = compare_several(reports[0], reports[1:], None) if options.more else None
    found = several["comparisons"] if several else [compare(reports[0], reports[1], None)]
    tables = _paper_tables(options, reports, found)
    # before anything is written
    require_free(tables)
    if options.out:
        write_comparison(options.out, several or found[0])
    for path, text in tables.items():
        if not path.exists():
            write_text(path, text)
    _print_limits(found)
    labels = model_labels(reports)[1:]
    rows = [row for label, each in zip(labels, found, strict=True) for row in _verdict_rows(label, each)]
    print_rows([("B", "source", "metric", "A", "B", "B - A", "95 %", "adjusted p", "B is", "images", "needed"), *rows])


def _print_limits(found: Sequence["ModelComparison"]) -> None:
    """Print what a comparison does not know: the questions that were not answered, and how another program decoded."""
    if part := found[0]["protocol"]["test_set"].get("partial"):
        print(f"partial: only {part['answered']} of {part['questions']} questions are answered and compared")
    if unknown := dict.fromkeys(name for each in found for name in each.get("unknown_decoding", ())):
        print(f"how the answers of {', '.join(unknown)} were decoded is not known: they are of another program")


def _check_files(options: argparse.Namespace) -> None:
    """Raise ConfigError for one file named twice and for --all-metrics without a table."""
    from tasks.errors import ConfigError

    paths = [path.resolve() for path in (options.out, options.latex, options.csv) if path]
    if len(set(paths)) < len(paths):
        raise ConfigError("Two of --out, --latex and --csv name the same file: give each its own.")
    if options.all_metrics and not (options.latex or options.csv):
        raise ConfigError("--all-metrics is for tables: add --latex FILE or --csv FILE.")


def _paper_tables(
    options: argparse.Namespace, reports: Sequence[Path], found: Sequence["ModelComparison"]
) -> dict[Path, str]:
    """The texts of --latex and --csv by their paths."""
    from tasks.evaluation.paper_latex import latex_text
    from tasks.evaluation.paper_tables import csv_text, paper_table

    if not (options.latex or options.csv):
        return {}
    table = paper_table(reports, found, options.all_metrics)
    return {path: write(table) for path, write in ((options.latex, latex_text), (options.csv, csv_text)) if path}


def _verdict_rows(label: str, result: "ModelComparison") -> list[tuple[str, ...]]:
    from tasks.evaluation.compared_scores import compared_sources, differences_by_metric
    from tasks.evaluation.metrics.registry import METRICS_BY_TASK

    return [
        (
            label,
            source,
            metric,
            *map(_number, (found["a"], found["b"], found["difference"])),
            _interval(found["ci95"]),
            f"{found.get('p_adjusted', found['p_value']):.4f}",
            found["verdict"],
            str(compared["images"]),
            str(found["images_needed"] or "-"),
        )
        for task in METRICS_BY_TASK
        for source, compared in compared_sources(result, task).items()
        for metric, found in differences_by_metric(compared).items()
    ]


def _unscored(metrics: "Metrics") -> Iterable[tuple[str, int]]:
    """The sources with references that contain no word, and their number; captions first."""
    from tasks.evaluation.metrics.registry import METRICS_BY_TASK
    from tasks.evaluation.scores import of_task

    without = metrics.get("without_references")
    for task in METRICS_BY_TASK:
        # reports of earlier versions do not have the count
        counts = {source: found.get("empty_references", 0) for source, found in of_task(metrics, task).items()}
        counts |= without.get(task, {}) if without else {}
        yield from ((source, number) for source, number in counts.items() if number)


def _score_rows(metrics: "Metrics") -> Iterable[tuple[str, ...]]:
    from tasks.evaluation.report.source_views import source_views

    for view in source_views(metrics, drawn="data" in metrics):
        score = view.label, view.metric, _number(view.value), _interval(view.interval), _number(view.blind)
        verdict = "-" if view.gain is None else "better than blind" if view.gain_shown else "not better than blind"
        yield *score, "-" if view.gain is None else f"{view.gain:+.3f}", verdict


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(bounds: "Interval") -> str:
    return "-" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def print_rows(rows: list[tuple[str, ...]]) -> None:
    """Print rows as columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
