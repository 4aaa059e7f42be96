"""The names of the presets and a line about each; nothing heavy is imported, since `rsvlm run` alone lists them."""

import itertools
import re
from pathlib import Path

PRESETS = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """The names of all presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def preset_lines() -> list[str]:
    """One line for each preset: its name, and the first sentence of its file."""
    width = max(map(len, preset_names()))
    return [f"{name:{width}}  {_first_sentence(PRESETS / f'{name}.yaml')}" for name in preset_names()]


def _first_sentence(file: Path) -> str:
    lines = itertools.takewhile(lambda line: line.startswith("# "), file.read_text(encoding="utf-8").split("\n"))
    comment = " ".join(line.removeprefix("# ") for line in lines)
    return re.split(r"\.(?= |$)", comment)[0]
