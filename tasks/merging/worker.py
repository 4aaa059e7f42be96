"""Merge in a process of its own: `python -m tasks.merging.worker --config FILE`, started by tasks.merging.steps."""

from pathlib import Path
from typing import Any

from tasks.processes import serve_worker


def merge(config: dict[str, Any]) -> dict[str, Any]:
    """Merge config["adapter"] into config["base"] and write config["out"]."""
    from tasks.merging.merge import merge_adapter

    ref = merge_adapter(Path(config["base"]), Path(config["adapter"]), Path(config["out"]), config["dtype"])
    return ref.model_dump(mode="json")


if __name__ == "__main__":
    serve_worker(merge)
