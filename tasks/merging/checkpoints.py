"""A checkpoint of either kind and its base into one model directory."""

from pathlib import Path

from tasks.merging.full_model import copy_full_model, is_full_model
from tasks.merging.merge import AS_BASE, merge_adapter
from tasks.merging.publishing import Form
from tasks.records import ModelRef


def merge_checkpoint(base: Path, checkpoint: Path, out: Path, form: Form = AS_BASE) -> ModelRef:
    """Merge an adapter into its base, or copy a full model; ModelError where either cannot be done rightly."""
    make = copy_full_model if is_full_model(checkpoint) else merge_adapter
    return make(base, checkpoint, out, form)
