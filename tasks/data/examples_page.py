"""An HTML page of examples of a dataset: images of each source with their questions and answers."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from tasks.data.records_file import by_source
from tasks.image_paths import image_file
from tasks.prompt_text import without_placeholder
from tasks.record_reader import Record, Turn, images_of
from tasks.sources import UNNAMED

EXAMPLES, TURNS, SIDE_PX = 6, 6, 160
STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;color:#1c2430;"
    "background:#fff}h2{margin-top:2rem}.row{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));"
    "gap:1rem}article{display:flex;gap:.8rem;border:1px solid #d5dbe3;border-radius:8px;padding:.7rem}"
    "img{width:128px;height:128px;object-fit:contain;background:#eef1f5}p{margin:.1rem 0}.q{color:#5b6675}"
    "@media(prefers-color-scheme:dark){body{background:#12161c;color:#e4e9f0}article{border-color:#2c3542}"
    "img{background:#1b212a}.q{color:#93a0b2}}"
)


def examples_page(records: Sequence[Record], images: Path, unnamed: str = UNNAMED) -> str:
    """An HTML page with some records of each source, evenly spaced, and their images as embedded thumbnails."""
    parts = [
        f"<h2>{html.escape(name)}</h2><div class=row>{_row(chosen, images)}</div>"
        for name, chosen in by_source(records, unnamed).items()
    ]
    # this page must not change: fingerprints of earlier trainings cover all files next to the sets
    return page("Samples of the dataset", "".join(parts))


def page(title: str, body: str) -> str:
    """A complete HTML page."""
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style><h1>{html.escape(title)}</h1>{body}</html>\n"
    )


def _row(records: Sequence[Record], images: Path) -> str:
    step = max(1, len(records) // EXAMPLES)
    return "".join(_article(record, images) for record in records[::step][:EXAMPLES])


def _article(record: Record, images: Path) -> str:
    turns = "".join(map(_turn, record["conversations"][:TURNS]))
    shown = "".join(thumbnail(image_file(images, image)) for image in images_of(record))
    return f"<article>{shown}<div>{turns}</div></article>"


def _turn(turn: Turn) -> str:
    text = without_placeholder(turn["value"])
    return f'<p class="{"q" if turn["from"] == "human" else "a"}">{html.escape(text)}</p>'


def thumbnail(path: Path) -> str:
    """An <img> element with a JPEG of at most 160 x 160 pixels as a data URL."""
    from tasks.model.images import read_image

    image = read_image(path)
    image.thumbnail((SIDE_PX, SIDE_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    name = html.escape(path.name)
    return f'<img alt="{name}" title="{name}" src="data:image/jpeg;base64,{data}">'
