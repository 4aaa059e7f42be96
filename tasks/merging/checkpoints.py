"""A checkpoint of either kind and its base into one model directory."""

from pathlib import Path

from tasks.errors import ModelError
from tasks.merging.full_model import copy_full_model, is_full_model
from tasks.merging.merge import AS_BASE, merge_adapter
from tasks.merging.model_directory import Form
from tasks.records import ModelRef


def merge_checkpoint(base: Path, checkpoint: Path, out: Path, form: Form = AS_BASE) -> ModelRef:
    """Merge an adapter into its base, or copy a full model; ModelError where either cannot be done rightly."""
    whole = is_full_model(checkpoint)
    if whole and form.projector == "base":
        raise ModelError(f"{checkpoint} is a model with a projector of its own: leave --projector base out.")
    return (copy_full_model if whole else merge_adapter)(base, checkpoint, out, form)
