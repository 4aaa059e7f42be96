"""What a checkpoint tells of where it comes from."""

from pathlib import Path
from typing import Any

from tasks.errors import DataError, ModelError
from tasks.files import fits_utf8, read_json
from tasks.paths import ORIGIN


def origin_of(checkpoint: Path) -> dict[str, Any]:
    """Run, base, its weights' fingerprint and the data's digest; empty for checkpoints of others, which tell nothing.

    Raises ModelError when the file is damaged.
    """
    file = checkpoint / ORIGIN
    try:
        origin = read_json(file) if file.is_file() else {}
    except DataError:
        origin = None
    if not isinstance(origin, dict) or not fits_utf8(origin):
        raise ModelError(f"{file} is damaged: fetch the checkpoint again.")
    return origin
