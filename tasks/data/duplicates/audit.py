"""Audit a dataset for leakage: read every image once, compare, and write audit.json, audit.html and the clean test."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.data.duplicates.leakage import clean_records, leakage_of
from tasks.data.duplicates.near_duplicates import find_pairs
from tasks.data.examples_page import page, thumbnail
from tasks.data.image_checks import look_at_images
from tasks.data.records_file import Record, RecordsFile, read_records
from tasks.data.set_files import inputs_of, set_paths
from tasks.errors import DataError
from tasks.files import read_json, write_json, write_text
from tasks.image_paths import image_key
from tasks.paths import AUDIT

SHOWN_PAIRS = 60
LEAKING = "shows the same as an image of the training set"


@dataclass(frozen=True)
class Audited:
    """Where the report stands, and what it says."""

    report: Path
    page: Path
    clean_test: Path | None
    findings: Mapping[str, Any]


def audit_file(dataset: Path, images: Path, out: Path, sets_folder: Path | None = None) -> Audited:
    """Audit the images of a file of records, and of the sets of a folder where one is given.

    Raises DataError for files that hold no records, a folder without sets, and an `out` that is no folder of ours.
    """
    if not images.is_dir():
        raise DataError(f"{images} is no folder: give the folder that the records' image paths begin in.")
    sets = _read_sets(sets_folder) if sets_folder else {}
    records = [*read_records(dataset), *(record for chosen in sets.values() for record in chosen)]
    _require_ours(out)
    states = look_at_images(images, dict.fromkeys(image_key(record["image"]) for record in records), with_look=True)
    findings = leakage_of(states, find_pairs(states), sets)
    write_json(out / AUDIT, findings)
    write_text(out / "audit.html", _page(findings, images))
    clean = (
        _write_clean(sets_folder, sets["test"], findings, out) if sets_folder and "test_images" in findings else None
    )
    return Audited(out / AUDIT, out / "audit.html", clean, findings)


def images_of(findings: Mapping[str, Any]) -> str:
    """How many images were looked at, in words; what cannot be read is compared with nothing."""
    unreadable = f", {findings['unreadable']} of which cannot be read" if findings["unreadable"] else ""
    return f"{findings['images']} images{unreadable}"


def _read_sets(folder: Path) -> dict[str, list[Record]]:
    found = {name: path for name, path in set_paths(folder).items() if path.is_file()}
    if "train" not in found or "test" not in found:
        raise DataError(f"{folder} has no data_train.json and data_test.json: give a folder made by a split.")
    return {name: read_records(path) for name, path in found.items()}


def _require_ours(out: Path) -> None:
    report = out / AUDIT
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or report.is_file())):
        raise DataError(f"{out} exists and is no audit: give another folder, or move it away.")
    found = read_json(report) if report.is_file() else None
    if report.is_file() and not (isinstance(found, dict) and "pairs_across_sets" in found):
        raise DataError(f"{report} is no audit of ours: give another folder, or move it away.")


def _write_clean(folder: Path, test: Sequence[Record], findings: Mapping[str, Any], out: Path) -> Path:
    kept = clean_records(test, findings)
    path = out / "clean_test.json"
    # made anew with each audit: it is this report in another shape
    path.unlink(missing_ok=True)
    dropped = {LEAKING: len(test) - len(kept)} if len(kept) < len(test) else {}
    RecordsFile(path, inputs_of(set_paths(folder)["test"]), {"audit": "clean"}).write(kept, dropped)
    return path


def _page(findings: Mapping[str, Any], images: Path) -> str:
    lines = [f"<p>{images_of(findings)}, {len(findings['pairs'])} pairs that show the same, "]
    lines.append(f"{findings['pairs_across_sources']} across sources, {findings['pairs_across_sets']} across sets.</p>")
    if test := findings.get("test_images"):
        lines.append(f"<p><b>{test['clean']} of {test['images']} test images are clean.</b></p>")
    for title, key in (("Captions", "captions"), ("Question-answer pairs", "question_answer_pairs")):
        for source, numbers in findings.get(key, {}).items():
            lines.append(
                f"<p>{title} of {html.escape(source)}: {numbers['in_training']} of {numbers['number']} of the test "
                "stand word for word in training.</p>"
            )
    shown = sorted(findings["pairs"], key=lambda pair: pair["sets"]["first"] == pair["sets"]["second"])[:SHOWN_PAIRS]
    return page(
        "Leakage audit", "".join(lines) + f"<div class=row>{''.join(_pair(pair, images) for pair in shown)}</div>"
    )


def _pair(pair: Mapping[str, Any], images: Path) -> str:
    names = "".join(
        f"<p>{html.escape(pair[key])} <span class=q>{html.escape(', '.join(pair['sets'][key]))}</span></p>"
        for key in ("first", "second")
    )
    alike = "identical files" if pair["identical"] else f"{pair['distance_bits']} bits, r {pair['correlation']}"
    pictures = "".join(thumbnail(images / pair[key]) for key in ("first", "second"))
    return f"<article>{pictures}<div>{names}<p class=q>{alike}</p></div></article>"
