"""Sizes, paths and times as people read them."""

from pathlib import PurePath


def size_in_words(size_bytes: int) -> str:
    """A size with a unit, such as 1.4 GB; one digit after the point below 10."""
    size, units = float(size_bytes), ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.1f} {units[0]}" if size < 10 and units[0] != "B" else f"{size:.0f} {units[0]}"


def name_of_path(text: str) -> str:
    """The last part of an absolute path; any other text unchanged, such as a model's name on the Hub."""
    return PurePath(text).name if text.startswith("/") else text
