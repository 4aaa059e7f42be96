"""Score a model's answers and write a report folder: metrics.json, per_answer.jsonl, scores.jsonl and report.html."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from tasks.errors import DataError, OccupiedError
from tasks.evaluation.answer_probabilities import add_probabilities, read_probabilities
from tasks.evaluation.answers.reading import ReadAnswers, keep_common, read_answers
from tasks.evaluation.clean_part import audit_file_of, keep_clean, read_audit, require_clean
from tasks.evaluation.controls.training_set import TrainingSet
from tasks.evaluation.drawn_data import DRAWN, is_drawn
from tasks.evaluation.metrics.meteor import Meteor, running_meteor
from tasks.evaluation.metrics.registry import added_versions
from tasks.evaluation.pairing import PairedRecord, iterate_texts, iterate_training_texts
from tasks.evaluation.protocol import UNKNOWN_DECODING, VERSION, protocol_of, read_decoding, served_model
from tasks.evaluation.report.facts import PageFacts
from tasks.evaluation.report.page import PageContext, PageModel, render_page
from tasks.evaluation.report_folder import read_curve
from tasks.evaluation.robustness import compare_transformed
from tasks.evaluation.scores import CleanScores, Metrics, ModelScores, Protocol
from tasks.evaluation.scoring import score_records
from tasks.evaluation.tables import score_rows
from tasks.files import digest_of, digest_or_none, sha256_of, write_json, write_json_lines, write_text
from tasks.image_paths import image_key
from tasks.manifests import atomic_folder, content_digest, read_manifest, verified_manifest, write_manifest
from tasks.paths import METRICS, PER_ANSWER, PROBABILITIES, REPORT_PAGE, ROBUSTNESS, SCORES
from tasks.records import Manifest, ReportRef, TrainingFacts
from tasks.settings import EvaluationConfig
from tasks.sources import UNNAMED

# increased whenever equal inputs get other numbers or another page: a report of earlier code is not taken for this one
REPORT_VERSION = 4


@dataclass(frozen=True)
class EvaluationFiles:
    """The test set `data` and the answers to it; `train` is the training set that some controls need.

    With an `audit` (of `rsvlm data audit`) its clean images are scored in addition to all, or alone with only_clean.
    The report also shows the `base` model's answers, the scores of the run's `checkpoints`, the comparison with the
    `robustness` reports, on the same test set with transformed images, and the `images`.
    `unnamed` is the source of images whose paths have no folder. `run`, `training` and `base_name` are shown on the
    page; they are not known for answers that were not given in a run. With `partial` the answers may be to a part of
    the test set, and only that part is scored.
    """

    data: Path
    predictions: Path
    train: Path | None = None
    audit: Path | None = None
    base: Path | None = None
    images: Path | None = None
    checkpoints: tuple[Path, ...] = ()
    unnamed: str = UNNAMED
    robustness: tuple[Path, ...] = ()
    run: str | None = None
    training: TrainingFacts | None = None
    partial: bool = False
    base_name: str | None = None

    def fingerprint(self, config: EvaluationConfig) -> str:
        """SHA-256 of the contents of all files, of the images where any are shown, and of all settings."""
        audit = audit_file_of(self.audit) if self.audit else None
        files = (self.data, self.predictions, self.train, audit, self.base)
        return digest_of(
            {
                "version": [VERSION, REPORT_VERSION, version("rsvlm"), version("pycocoevalcap"), *added_versions()],
                "files": [_digest(path) if path else None for path in files],
                "decoding": read_decoding(self.predictions),
                "probabilities": [
                    digest_or_none(path.with_name(PROBABILITIES)) for path in (self.predictions, self.base) if path
                ],
                "images": self._images_digest() if config.gallery else None,
                "checkpoints": [(folder.name, _digest(folder / METRICS)) for folder in self.checkpoints],
                "robustness": [_digest(folder / PER_ANSWER) for folder in self.robustness],
                "config": config.model_dump(mode="json"),
                "unnamed": self.unnamed,
                "drawn": is_drawn(self.data, self.images),
                "run": [self.run, self.training.content if self.training else None, self.base_name],
                "partial": self.partial,
            }
        )

    def _images_digest(self) -> str | None:
        """SHA-256 of the test set's images by name and bytes, in whatever folder; None without a folder of images."""
        if self.images is None:
            return None
        names = sorted({image_key(record.image) for record in iterate_texts(self.data)})
        return digest_of([[name, digest_or_none(self.images / name)] for name in names])


def evaluate(inputs: EvaluationFiles, out: Path, config: EvaluationConfig) -> ReportRef:
    """Score the answers to a test set and write the report folder `out`.

    Does nothing where `out` is the report of the same inputs. Raises DataError for answers or an audit of another test
    set, and OccupiedError if `out` holds something else.
    """
    if inputs.images is not None and not inputs.images.is_dir():
        raise DataError(f"{inputs.images} is not a folder: give the folder that the records' image paths start from.")
    fingerprint = inputs.fingerprint(config)
    manifest = verified_manifest(out, fingerprint)
    if manifest is None:
        _require_free(out, fingerprint)
        manifest = _write_report(inputs, out, config, fingerprint)
    return ReportRef(path=out, sha256=content_digest(manifest), model=out.resolve().name)


def _digest(path: Path) -> str:
    if not path.is_file():
        wrong = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {wrong}: give the path of an existing JSON file.")
    return sha256_of(path)


def _require_free(out: Path, fingerprint: str) -> None:
    """Raise OccupiedError if `out` holds anything but a damaged report of the same inputs."""
    manifest = read_manifest(out)
    if manifest is not None and manifest.fingerprint == fingerprint:
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OccupiedError(
            f"{out} already holds something other than this evaluation: give another --out, or move it away."
        )


def _write_report(inputs: EvaluationFiles, out: Path, config: EvaluationConfig, fingerprint: str) -> Manifest:
    answers = _read_pairs(inputs)
    paired = [each.records for each in answers]
    audit = read_audit(inputs.audit) if inputs.audit else None
    if audit and config.only_clean:
        paired = [require_clean(records, audit) for records in paired]
    clean = keep_clean(paired[0], audit) if audit and not config.only_clean else None
    training = TrainingSet(iterate_training_texts(inputs.train), inputs.unnamed) if inputs.train else None
    with _meteor_for([*paired, clean or []]) as meteor:
        # the base model is only shown for comparison: its own report has its controls
        scored = [
            score_records(records, known, config, meteor)
            for records, known in zip(paired, (training, None), strict=False)
        ]
        clean_scores = _clean_scores(clean, training, config, meteor)
    origin, partial = answers[0].origin, answers[0].partial
    decoding = UNKNOWN_DECODING if origin else read_decoding(inputs.predictions)
    protocol = protocol_of(paired[0], decoding, partial, config)
    robustness = compare_transformed(scored[0].rows, inputs.robustness, protocol) if inputs.robustness else None
    drawn = is_drawn(inputs.data, inputs.images)
    metrics = _metrics_of(scored[0].scores, protocol, clean_scores, drawn)
    metrics |= {**({"answers": origin} if origin else {}), **({"partial": partial} if partial else {})}
    names = (out.resolve().name, "base")
    models = [PageModel(name, each.scores, each.rows) for name, each in zip(names, scored, strict=False)]
    curve = read_curve(inputs.checkpoints, protocol)
    base_decoding = read_decoding(inputs.base) if inputs.base else None
    served = served_model(decoding), served_model(base_decoding)
    images = training.images if training else None
    facts = PageFacts(inputs.run, inputs.training, images, drawn, origin, *served, base=inputs.base_name)
    context = PageContext(protocol, inputs.images, clean_scores, curve, robustness, facts)
    with atomic_folder(out) as part:
        write_json(part / METRICS, metrics)
        write_json_lines(part / PER_ANSWER, scored[0].rows)
        write_json_lines(part / SCORES, score_rows(names[0], metrics))
        if robustness:
            write_json(part / ROBUSTNESS, robustness)
        write_text(part / REPORT_PAGE, render_page(models, context, config))
        return write_manifest(part, fingerprint, {"train": _digest(inputs.train) if inputs.train else None})


def _metrics_of(scores: ModelScores, protocol: Protocol, clean: CleanScores | None, drawn: bool) -> Metrics:
    metrics: Metrics = {
        "version": 1,
        "protocol": protocol,
        "captioning": scores["captioning"],
        "vqa": scores["vqa"],
        "reference_protocol": scores["reference_protocol"],
    }
    if "grounding" in scores:
        metrics["grounding"] = scores["grounding"]
    if "without_references" in scores:
        metrics["without_references"] = scores["without_references"]
    if clean:
        metrics["clean"] = clean
    if drawn:
        metrics["data"] = DRAWN
    return metrics


def _read_pairs(inputs: EvaluationFiles) -> list[ReadAnswers]:
    """The test set paired with the model's answers and, where they are given, with the base model's."""
    test = list(iterate_texts(inputs.data))
    found = [
        read_answers(test, path, inputs.unnamed, inputs.partial) for path in (inputs.predictions, inputs.base) if path
    ]
    paths = (inputs.predictions, inputs.base or inputs.predictions)
    known = [
        replace(each, records=add_probabilities(each.records, read_probabilities(path)))
        for each, path in zip(found, paths, strict=False)
    ]
    return keep_common(known)


def _clean_scores(
    records: list[PairedRecord] | None,
    training: TrainingSet | None,
    config: EvaluationConfig,
    meteor: Meteor | None,
) -> CleanScores | None:
    """The scores of the clean part, scored as if it were the whole test set; None without an audit."""
    if records is None:
        return None
    if not records:
        return {"images": 0, "captioning": {}, "vqa": {}}
    scores = score_records(records, training, config, meteor).scores
    images = len({record.image for record in records})
    clean: CleanScores = {"images": images, "captioning": scores["captioning"], "vqa": scores["vqa"]}
    if "grounding" in scores:
        clean["grounding"] = scores["grounding"]
    return clean


def _meteor_for(paired: list[list[PairedRecord]]) -> AbstractContextManager[Meteor | None]:
    captions = sum(bool(record.asked_for("captioning")) for records in paired for record in records)
    # starting it takes seconds, for which questions alone need not wait
    return running_meteor(captions) if captions else nullcontext()
