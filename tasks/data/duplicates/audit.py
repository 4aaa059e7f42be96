"""Audit a dataset for leakage: check and compare all images; write audit.json, audit.html and the clean test set."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.data.checked_images import check_images
from tasks.data.duplicates.leakage import Findings, PairFinding, clean_records, leakage_of
from tasks.data.duplicates.near_duplicates import find_pairs
from tasks.data.examples_page import page, thumbnail
from tasks.data.records_file import RecordsFile
from tasks.data.set_files import inputs_of, set_paths
from tasks.errors import DataError
from tasks.files import read_json, write_json, write_text
from tasks.image_paths import image_key
from tasks.paths import AUDIT, AUDIT_PAGE, TEST_SET, TRAIN_SET
from tasks.record_reader import Record, images_of, paths_fault, read_records

SHOWN_PAIRS = 60
LEAKING = "image is a near-duplicate of a training image"


@dataclass(frozen=True)
class AuditResult:
    """The paths of an audit's files, and its findings."""

    report: Path
    page: Path
    clean_test: Path | None
    findings: Findings


def audit_file(dataset: Path, images: Path, out: Path, sets_folder: Path | None = None) -> AuditResult:
    """Audit the images of an instruction file and, where `sets_folder` is given, of its sets; write to `out`.

    Raises DataError for files without records, a folder without sets, and an `out` that holds anything but an audit.
    """
    if not images.is_dir():
        raise DataError(f"{images} is not a folder: give the folder that image paths start from.")
    sets = _read_sets(sets_folder) if sets_folder else {}
    records = [*read_records(dataset), *(record for chosen in sets.values() for record in chosen)]
    _require_replaceable(out)
    named = dict.fromkeys(image_key(image) for record in records for image in images_of(record))
    states = check_images(images, named, with_hash=True)
    findings = leakage_of(states, find_pairs(states), sets)
    write_json(out / AUDIT, findings)
    write_text(out / AUDIT_PAGE, _audit_page(findings, images))
    clean = (
        _write_clean(sets_folder, sets["test"], findings, out) if sets_folder and "test_images" in findings else None
    )
    return AuditResult(out / AUDIT, out / AUDIT_PAGE, clean, findings)


def describe_images(findings: Findings) -> str:
    """The number of images as text; images that cannot be read are not compared."""
    unreadable = f", {findings['unreadable']} of them unreadable" if findings["unreadable"] else ""
    return f"{findings['images']} images{unreadable}"


def _read_sets(folder: Path) -> dict[str, list[Record]]:
    found = {name: path for name, path in set_paths(folder).items() if path.is_file()}
    if "train" not in found or "test" not in found:
        raise DataError(f"{folder} lacks {TRAIN_SET} or {TEST_SET}: give a folder written by a split.")
    # a training set may hold records of text alone, which have no image to leak
    return {
        name: [record for record in read_records(path, paths_fault) if images_of(record)]
        for name, path in found.items()
    }


def _require_replaceable(out: Path) -> None:
    report = out / AUDIT
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or report.is_file())):
        raise DataError(f"{out} exists and is not an audit: give another folder, or move it away.")
    found = read_json(report) if report.is_file() else None
    if report.is_file() and not (isinstance(found, dict) and "pairs_across_sets" in found):
        raise DataError(f"{report} is not an audit by rsvlm: give another folder, or move it away.")


def _write_clean(folder: Path, test: Sequence[Record], findings: Findings, out: Path) -> Path:
    kept = clean_records(test, findings)
    path = out / "clean_test.json"
    # rewritten by each audit: it is another form of this report
    path.unlink(missing_ok=True)
    dropped = {LEAKING: len(test) - len(kept)} if len(kept) < len(test) else {}
    RecordsFile(path, inputs_of(set_paths(folder)["test"]), {"audit": "clean"}).write(kept, dropped)
    return path


def _audit_page(findings: Findings, images: Path) -> str:
    lines = [f"<p>{describe_images(findings)}, {len(findings['pairs'])} near-duplicate pairs, "]
    lines.append(f"{findings['pairs_across_sources']} across sources, {findings['pairs_across_sets']} across sets.</p>")
    if test := findings.get("test_images"):
        lines.append(f"<p><b>{test['clean']} of {test['images']} test images are clean.</b></p>")
    repeated = {"Captions": findings.get("captions"), "Question-answer pairs": findings.get("question_answer_pairs")}
    for title, by_source in repeated.items():
        for source, numbers in (by_source or {}).items():
            lines.append(
                f"<p>{title} of {html.escape(source)}: {numbers['in_training']} of {numbers['number']} in the test set "
                "occur word for word in training.</p>"
            )
    shown = sorted(findings["pairs"], key=lambda pair: pair["sets"]["first"] == pair["sets"]["second"])[:SHOWN_PAIRS]
    return page(
        "Leakage audit", "".join(lines) + f"<div class=row>{''.join(_pair(pair, images) for pair in shown)}</div>"
    )


def _pair(pair: PairFinding, images: Path) -> str:
    names = "".join(
        f"<p>{html.escape(pair[key])} <span class=q>{html.escape(', '.join(pair['sets'][key]))}</span></p>"
        for key in ("first", "second")
    )
    similarity = "identical files" if pair["identical"] else f"{pair['distance_bits']} bits, r {pair['correlation']}"
    pictures = "".join(thumbnail(images / pair[key]) for key in ("first", "second"))
    return f"<article>{pictures}<div>{names}<p class=q>{similarity}</p></div></article>"
