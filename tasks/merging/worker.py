"""Merge in a process of its own: `python -m tasks.merging.worker --config FILE`, started by tasks.merging.steps."""

from pathlib import Path
from typing import Any

from tasks.processes import serve_worker


def merge(config: dict[str, Any]) -> dict[str, Any]:
    """Merge the adapter config["checkpoint"] into config["base"], or copy a full model, and write config["out"]."""
    from tasks.merging.full_model import copy_full_model, is_full_model
    from tasks.merging.merge import merge_adapter

    base, checkpoint, out = (Path(config[name]) for name in ("base", "checkpoint", "out"))
    make = copy_full_model if is_full_model(checkpoint) else merge_adapter
    ref = make(base, checkpoint, out, config["dtype"])
    return ref.model_dump(mode="json")


if __name__ == "__main__":
    serve_worker(merge)
