"""The merge process: `python -m tasks.merging.worker --config FILE`, started by tasks.merging.steps."""

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from tasks.processes import serve_worker

if TYPE_CHECKING:
    from tasks.choices import Layout


class MergeJob(TypedDict):
    """The job file: three paths and the merging settings."""

    base: str
    checkpoint: str
    out: str
    dtype: str
    format: "Layout"
    verify: bool


def merge(config: MergeJob) -> dict[str, object]:
    """Merge config["checkpoint"] into config["base"] and write config["out"] with the merging settings in config."""
    from tasks.merging.merge import merge_checkpoint
    from tasks.merging.model_directory import MergeOptions

    base, checkpoint, out = (Path(path) for path in (config["base"], config["checkpoint"], config["out"]))
    options = MergeOptions(config["dtype"], config["format"], config["verify"])
    return merge_checkpoint(base, checkpoint, out, options).model_dump(mode="json")


if __name__ == "__main__":
    serve_worker(merge)
