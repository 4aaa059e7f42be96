"""Files that tests write, damage or copy: JSON, encoded images, positions in JSON, writable copies."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def encoded(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """An image of noise in a file format."""
    values = np.random.default_rng(28).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def written(path: Path, value: Any) -> Path:
    """The path, with a value as JSON."""
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container in a JSON value with each of its keys or indices."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def copy_writable(source: str, target: str) -> None:
    """Copy a file without its permissions, for `copytree`."""
    Path(target).write_bytes(Path(source).read_bytes())
