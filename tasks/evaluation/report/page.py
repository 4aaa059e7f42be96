"""report.html: one file that a person can read in a minute, without a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.evaluation.answer_rows import Row
from tasks.evaluation.comparing import compare_rows
from tasks.evaluation.gains import FEWEST_IMAGES, blind_score, gain_is_shown
from tasks.evaluation.report.bars import Bar, draw_bars
from tasks.evaluation.report.gallery import choose_examples
from tasks.settings import EvaluationConfig

TEMPLATE = "report.html.j2"
HEADLINE_METRIC = {"captioning": "CIDEr", "vqa": "accuracy"}
CONTROL_BARS = (
    ("train_consensus", "training consensus", "blind"),
    ("constant", "one caption for all", "blind"),
    ("question_only", "question only", "blind"),
    ("majority", "majority answer", "blind"),
    ("shuffled_images", "other images' answers", "blind"),
    ("leave_one_out", "human references", "human"),
)


@dataclass(frozen=True)
class PageModel:
    """One model's name, scores (metrics.json without its protocol) and rows."""

    name: str
    scores: dict[str, Any]
    rows: list[Row]


def render_page(
    models: Sequence[PageModel], protocol: dict[str, Any], images: Path | None, config: EvaluationConfig
) -> str:
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
    sources = [
        _source(task, source, model, base, compared) for task in HEADLINE_METRIC for source in model.scores[task]
    ]
    return environment.get_template(TEMPLATE).render(
        model=model,
        base=base,
        protocol=protocol,
        sources=sources,
        examples=choose_examples(model.rows, base.rows if base else None, images, config.gallery),
        with_images=images is not None,
        fewest_images=FEWEST_IMAGES,
    )


def _source(
    task: str, source: str, model: PageModel, base: PageModel | None, compared: dict[str, Any] | None
) -> dict[str, Any]:
    metric = HEADLINE_METRIC[task]
    scores = model.scores[task][source]
    of_base = base.scores[task][source] if base else None
    blind, interval = blind_score(scores["controls"]), scores["ci95"][metric]
    return {
        "task": task,
        "name": source,
        "metric": metric,
        "scores": scores,
        "base": of_base,
        "value": scores[metric],
        "interval": interval,
        "blind": blind,
        "gain": None if blind is None else scores[metric] - blind,
        "looks": gain_is_shown(scores, metric),
        "compared": compared[task][source][metric] if compared else None,
        "bars": draw_bars(f"{source} {metric}", _bars(metric, scores, of_base), 1.0 if task == "vqa" else None),
    }


def _bars(metric: str, scores: dict[str, Any], base: dict[str, Any] | None) -> list[Bar]:
    bars = [Bar("this model", "model", scores[metric], scores["ci95"][metric])]
    if base:
        bars.append(Bar("base model", "base", base[metric], base["ci95"][metric]))
    controls = scores["controls"]
    return bars + [
        Bar(label, kind, controls[name]) for name, label, kind in CONTROL_BARS if controls.get(name) is not None
    ]


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _interval(bounds: Sequence[float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
