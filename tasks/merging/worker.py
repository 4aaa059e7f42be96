"""The merge process: `python -m tasks.merging.worker --config FILE`, started by tasks.merging.steps."""

from pathlib import Path
from typing import Any

from tasks.processes import serve_worker


def merge(config: dict[str, Any]) -> dict[str, Any]:
    """Merge config["checkpoint"] into config["base"] and write config["out"] with the merging settings in config."""
    from tasks.merging.merge import merge_checkpoint
    from tasks.merging.model_directory import MergeOptions

    base, checkpoint, out = (Path(config[name]) for name in ("base", "checkpoint", "out"))
    options = MergeOptions(config["dtype"], config["format"], config["verify"])
    return merge_checkpoint(base, checkpoint, out, options).model_dump(mode="json")


if __name__ == "__main__":
    serve_worker(merge)
