"""The README.md of a merged model: its inputs, its training, and how to load it."""

from pathlib import Path

from tasks.files import read_json, read_json_object
from tasks.model.checkpoint_origin import read_origin
from tasks.model.family import AboutModel
from tasks.paths import ADAPTER_CONFIG, METRICS, MODEL_CARD, TRAINER_STATE

CARD = """---
base_model: {base}
library_name: transformers
pipeline_tag: image-text-to-text
{licence}---
# {base}, fine-tuned

{family} in {layout} layout, created by rsvlm: {what}. `provenance.json` lists the SHA-256 of every input file and the
settings. The licence of the base model applies.

{facts}
## How to load it

{loading}"""
# label in the card: key of origin.json
FROM_ORIGIN = {"Run": "run", "Data: sets with the SHA-256": "dataset"}


def model_card(base: Path, tuned: Path, description: str, about: AboutModel, facts: tuple[str, ...] = ()) -> str:
    """The text of the card; `facts` are further lines, such as scores."""
    lines = [f"- {line}" for line in (*_parameters(tuned), *facts)]
    return CARD.format(
        base=base.name,
        family=about.family,
        layout=about.layout,
        what=description,
        licence=_licence(base),
        facts="\n".join(lines) + "\n" if lines else "",
        loading=about.loading,
    )


def _licence(base: Path) -> str:
    """The lines of the base model's own card that name its licence."""
    card = base / MODEL_CARD
    lines = card.read_text(encoding="utf-8", errors="replace").split("\n") if card.is_file() else []
    if lines[:1] != ["---"] or "---" not in lines[1:]:
        return ""
    head = lines[1 : lines.index("---", 1)]
    return "".join(f"{line}\n" for line in head if line.startswith(("license:", "license_name:", "license_link:")))


def _parameters(tuned: Path) -> list[str]:
    """How the checkpoint was trained, from its own files."""
    lora, state = (read_json_object(tuned / name) for name in (ADAPTER_CONFIG, TRAINER_STATE))
    origin = read_origin(tuned)
    known = [f"{label}: {origin[key]}" for label, key in FROM_ORIGIN.items() if origin.get(key)]
    if lora:
        kind = "DoRA" if lora.get("use_dora") else "rsLoRA" if lora.get("use_rslora") else "LoRA"
        known.append(
            f"{kind}: rank {lora.get('r')}, alpha {lora.get('lora_alpha')}, dropout {lora.get('lora_dropout')}"
        )
    if state.get("global_step"):
        known.append(f"Training: {state['global_step']} optimizer steps, {state.get('epoch', 0):.2f} epochs")
    return known


def scores_in(report: Path) -> tuple[str, ...]:
    """Lines with the scores of a report directory's metrics.json; DataError if it is missing or damaged."""
    from tasks.evaluation.metrics.registry import HEADLINE

    metrics = read_json(report / METRICS)
    return tuple(
        f"{source}: {score} {values[score]:.3f}"
        for task, score in HEADLINE.items()
        for source, values in (metrics.get(task) or {}).items()
        if values.get(score) is not None
    )
