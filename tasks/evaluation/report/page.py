"""report.html: one file that a person can read in a minute, without a network."""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.evaluation.checkpoint_curve import Curve
from tasks.evaluation.comparison import compare_rows
from tasks.evaluation.controls.gains import FEWEST_IMAGES
from tasks.evaluation.metrics.answer_matching import normalise_answer, number_of
from tasks.evaluation.report.calibration import draw_calibration
from tasks.evaluation.report.curves import Point, draw_curve
from tasks.evaluation.report.gallery import choose_examples
from tasks.evaluation.report.peers import peer_tables
from tasks.evaluation.report.source_views import source_views
from tasks.evaluation.tables import Row
from tasks.evaluation.vqa_metrics import COUNT
from tasks.settings import EvaluationConfig

TEMPLATE = "report.html.j2"
INLINE = {"style": "style.css", "script": "report.js"}


@dataclass(frozen=True)
class PageModel:
    """One model's name, scores (metrics.json without its protocol) and rows, which are walked through several times."""

    name: str
    scores: dict[str, Any]
    rows: Iterable[Row]


@dataclass(frozen=True)
class Surroundings:
    """What stands around the scores: protocol, folder of images, scores of the clean part, earlier checkpoints."""

    protocol: dict[str, Any]
    images: Path | None
    clean: dict[str, Any] | None
    curve: Curve


def render_page(models: Sequence[PageModel], around: Surroundings, config: EvaluationConfig) -> str:
    """The report of the first model; a second is its base, shown beside it and compared with it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    model, base = models[0], models[1] if len(models) > 1 else None
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(num=_number, signed=_signed, interval=_interval)
    compared = compare_rows(base.rows, model.rows, config.seed) if base else None
    sources = source_views(model.scores, base.scores if base else None, compared)
    texts = {name: Path(__file__).with_name(file).read_text(encoding="utf-8") for name, file in INLINE.items()}
    return environment.get_template(TEMPLATE).render(
        model=model,
        base=base,
        protocol=around.protocol,
        sources=sources,
        clean=around.clean,
        clean_sources=source_views(around.clean) if around.clean else [],
        curves=_curves(sources, model, base, around.curve),
        curves_left_out=around.curve.left_out,
        calibrations=_calibrations(model, base),
        peers=peer_tables(model.scores),
        examples=choose_examples(model.rows, base.rows if base else None, around.images, config.gallery),
        with_images=around.images is not None,
        fewest_images=FEWEST_IMAGES,
        hashes={name: _csp_hash(text) for name, text in texts.items()},
        **texts,
    )


def _csp_hash(text: str) -> str:
    """What a content security policy calls this very script or style sheet, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _curves(
    sources: list[dict[str, Any]], model: PageModel, base: PageModel | None, curve: Curve
) -> list[tuple[str, str]]:
    """For each source its name and the SVG of its score over base, checkpoints and this model."""
    if not curve.points:
        return []
    stages = [*([("base", base.scores)] if base else []), *curve.points, (model.name, model.scores)]
    drawn = []
    for view in sources:
        points = [
            Point(name.removeprefix("checkpoint-"), scores[view["metric"]], scores["ci95"][view["metric"]])
            for name, found in stages
            if (scores := found[view["task"]].get(view["name"])) and scores[view["metric"]] is not None
        ]
        if points:
            drawn.append((view["name"], draw_curve(f"{view['name']} {view['metric']}", points, view["blind"])))
    return drawn


def _calibrations(model: PageModel, base: PageModel | None) -> list[tuple[str, str]]:
    """(heading, SVG) of each source's counts, of this model and of the base."""
    models = [(each.name, _counts(each.rows)) for each in (model, base) if each]
    return [
        (f"{source}: {name}", picture)
        for source in model.scores["vqa"]
        for name, counts in models
        if (picture := draw_calibration(f"{source}, {name}", counts[source]))
    ]


def _counts(rows: Iterable[Row]) -> dict[str, list[tuple[float, float]]]:
    """(truth, answer) of each source's counts that were answered by a number."""
    found = defaultdict(list)
    for row in rows:
        if row["type"] == COUNT:
            truth, answer = (number_of(normalise_answer(text)) for text in (row["references"][0], row["answer"]))
            if truth is not None and answer is not None:
                found[row["source"]].append((truth, answer))
    return found


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _interval(bounds: Sequence[float] | None) -> str:
    # of a single image all draws are the same, which is no certainty
    return "" if bounds is None or bounds[0] == bounds[1] else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
