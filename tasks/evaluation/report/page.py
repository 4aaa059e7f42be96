"""report.html: the report as one file that needs no network."""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.evaluation.comparison import compare_rows
from tasks.evaluation.metrics.answer_matching import normalise_answer, number_of
from tasks.evaluation.metrics.calibration import Calibration
from tasks.evaluation.metrics.registry import HEADLINE, Metric, metrics_of
from tasks.evaluation.published_protocols import RULES
from tasks.evaluation.report.charts import Change, CurvePoint, draw_changes, draw_curve, signed
from tasks.evaluation.report.facts import NOTHING_KNOWN, PageFacts
from tasks.evaluation.report.gallery import choose_examples, one_per_source
from tasks.evaluation.report.image_changes import image_changes
from tasks.evaluation.report.loss_chart import draw_losses
from tasks.evaluation.report.peers import peer_tables
from tasks.evaluation.report.settings_table import setting_rows
from tasks.evaluation.report.source_views import SHOWN_CLASSES, SourceView, source_views
from tasks.evaluation.report.square_charts import draw_calibration, draw_reliability
from tasks.evaluation.report_folder import Curve
from tasks.evaluation.robustness import Robustness
from tasks.evaluation.scores import CleanScores, ModelScores, Protocol, Scores, SourceScores, metric_value, of_task
from tasks.evaluation.tables import AnswerRow
from tasks.evaluation.uncertainty.moments import FEWEST_IMAGES
from tasks.evaluation.vqa_metrics import COUNT, RURAL_URBAN
from tasks.paths import checkpoint_label
from tasks.settings import EvaluationConfig

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "report.html.j2"
INLINE = {"style": "style.css", "script": "report.js"}


@dataclass(frozen=True)
class PageModel:
    """One model's name, scores and rows; the rows are iterated several times."""

    name: str
    scores: ModelScores
    rows: Iterable[AnswerRow]


@dataclass(frozen=True)
class PageContext:
    """What the page shows next to the scores: protocol, images, scores of the clean part, other reports, the run."""

    protocol: Protocol
    images: Path | None
    clean: CleanScores | None
    curve: Curve
    robustness: Robustness | None = None
    facts: PageFacts = NOTHING_KNOWN


def render_page(models: Sequence[PageModel], context: PageContext, config: EvaluationConfig) -> str:
    """The HTML report of the first model; a second model is its base, which it is compared with."""
    model, base = models[0], models[1] if len(models) > 1 else None
    facts = context.facts
    compared = compare_rows(base.rows, model.rows) if base else None
    sources = source_views(model.scores, base.scores if base else None, compared, facts.drawn)
    texts = {name: Path(__file__).with_name(file).read_text(encoding="utf-8") for name, file in INLINE.items()}
    caption_metrics, missing = _caption_columns(sources)
    template = _environment(facts).get_template(TEMPLATE)
    return template.render(
        title=facts.title(model.name, [view.name for view in sources]),
        facts=facts,
        model=model,
        base=base,
        protocol=context.protocol,
        sources=sources,
        headline=HEADLINE,
        caption_metrics=caption_metrics,
        missing_metrics=missing,
        question_metrics=[metric.name for metric in metrics_of("vqa")],
        rules=RULES,
        clean=context.clean,
        clean_sources=source_views(context.clean, drawn=facts.drawn) if context.clean else [],
        curves_left_out=context.curve.left_out,
        robustness=context.robustness,
        # drawn pictures are not the images of the published scores
        peers=[] if facts.drawn else peer_tables(model.scores),
        with_images=context.images is not None,
        fewest_images=FEWEST_IMAGES,
        shown_classes=SHOWN_CLASSES,
        hashes={name: _csp_hash(text) for name, text in texts.items()},
        **_charts(model, base, sources, context),
        **_examples(model, base, context, config),
        **_settings(facts),
        **texts,
    )


def _environment(facts: PageFacts) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(num=_number, signed=_signed, interval=_interval, label=facts.label, kind=_type_label)
    return environment


def _charts(
    model: PageModel, base: PageModel | None, sources: Sequence[SourceView], context: PageContext
) -> dict[str, object]:
    """The charts of the page but for the bars of its sources."""
    facts = context.facts
    return {
        "losses": _losses(facts),
        "curves": _curves(sources, model, base, context.curve),
        "image_changes": image_changes(base.rows, model.rows, facts.label) if base else [],
        "calibrations": _calibrations(model, base, facts),
        "reliability": _reliability(model, facts),
        "changes": _changes(context.robustness, facts) if context.robustness else [],
    }


def _losses(facts: PageFacts) -> str | None:
    known = facts.training
    return draw_losses(known.losses, known.validation_losses) if known and known.losses else None


def _examples(
    model: PageModel, base: PageModel | None, context: PageContext, config: EvaluationConfig
) -> dict[str, object]:
    """All examples, and one of each source for the summary, which only images make worth their room."""
    examples = choose_examples(model.rows, base.rows if base else None, context.images, config.gallery)
    return {"examples": examples, "samples": one_per_source(examples) if context.images else []}


def _settings(facts: PageFacts) -> dict[str, object]:
    """The settings of the training, and those that differ from their defaults."""
    rows = setting_rows(facts.training.settings) if facts.training else []
    return {"settings": rows, "changed_settings": [row for row in rows if not row.is_default]}


def _csp_hash(text: str) -> str:
    """The source expression of a content security policy that allows this script or style sheet only."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _caption_columns(sources: Sequence[SourceView]) -> tuple[list[str], list[Metric]]:
    """The metrics of captions that have a column, and the optional ones that no source has."""
    metrics, captions = metrics_of("captioning"), [view.scores for view in sources if view.task == "captioning"]
    missing = [
        metric
        for metric in metrics
        if metric.optional and all(metric_value(scores, metric.name) is None for scores in captions)
    ]
    return [metric.name for metric in metrics if metric not in missing], missing


def _curves(
    sources: Sequence[SourceView], model: PageModel, base: PageModel | None, curve: Curve
) -> list[tuple[str, str]]:
    """For each source its name and the SVG of its score over base, checkpoints and this model."""
    if not curve.points:
        return []
    stages: list[tuple[str, Scores]] = [
        *([("base", base.scores)] if base else []),
        *curve.points,
        (model.name, model.scores),
    ]
    drawn = []
    for view in sources:
        found = [(name, _source_of(scores, view)) for name, scores in stages]
        points = [
            CurvePoint(checkpoint_label(name), value, scores["ci95"][view.metric])
            for name, scores in found
            if scores is not None and (value := metric_value(scores, view.metric)) is not None
        ]
        if points:
            drawn.append((view.label, draw_curve(f"{view.label} {view.metric}", points, view.blind)))
    return drawn


def _source_of(scores: Scores, view: SourceView) -> SourceScores | None:
    return of_task(scores, view.task).get(view.name)


def _calibrations(model: PageModel, base: PageModel | None, facts: PageFacts) -> list[tuple[str, str]]:
    """(heading, SVG) of each source's counts, of this model and of the base."""
    models = [(each.name, _counts(each.rows)) for each in (model, base) if each]
    return [
        (f"{facts.label(source)}: {name}", picture)
        for source in model.scores["vqa"]
        for name, counts in models
        if (picture := draw_calibration(f"{facts.label(source)}, {name}", counts[source]))
    ]


def _reliability(model: PageModel, facts: PageFacts) -> list[tuple[str, Calibration, str]]:
    """Name, calibration and reliability diagram of each source whose answers have probabilities."""
    return [
        (facts.label(source), found, draw_reliability(facts.label(source), found["bins"]))
        for source, scores in model.scores["vqa"].items()
        if (found := scores.get("calibration"))
    ]


def _changes(robustness: Robustness, facts: PageFacts) -> list[tuple[str, str, str]]:
    """For each source its name, its metric, and the SVG of its change under each transform."""
    by_source: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for row in robustness["results"]:
        change = Change(row["transform"], row["difference"], row["ci95"])
        by_source[row["source"], row["metric"]].append(change)
    return [
        (facts.label(source), metric, draw_changes(f"{facts.label(source)}, change of {metric}", changes))
        for (source, metric), changes in sorted(by_source.items())
    ]


def _counts(rows: Iterable[AnswerRow]) -> dict[str, list[tuple[float, float]]]:
    """(true count, answer) of each source's questions for a count that were answered by a number."""
    found = defaultdict(list)
    for row in rows:
        if row["type"] == COUNT:
            truth, answer = (number_of(normalise_answer(text)) for text in (row["references"][0], row["answer"]))
            if truth is not None and answer is not None:
                found[row["source"]].append((truth, answer))
    return found


def _type_label(name: str) -> str:
    return name.replace("_", " or " if name == RURAL_URBAN else " ")


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else signed(value)


def _interval(bounds: Sequence[float] | None) -> str:
    # reports of earlier versions have intervals of width 0, which would suggest certainty
    return "" if bounds is None or bounds[0] == bounds[1] else f"{bounds[0]:.3f} to {bounds[1]:.3f}".replace("-", "−")
