"""How scores were taken: all that must be equal before two of them may be compared, and its fingerprint."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks.errors import DataError
from tasks.evaluation.pairing import PairedRecord
from tasks.files import digest_of, read_json
from tasks.paths import STARTED
from tasks.settings import EvaluationConfig

VERSION = 1
# Settings of the answering as a predictions folder keeps them.
DECODING = "inference."
# What only says how sure a score is, not what it is.
NOT_COMPARED = ("bootstrap",)


def protocol_of(test: Sequence[PairedRecord], predictions: Path, config: EvaluationConfig) -> dict[str, Any]:
    """The protocol of a report on the records `test`; `fingerprint` digests all of it but the bootstrap's settings."""
    protocol = {
        "version": VERSION,
        "tokenizer": "PTBTokenizer 3.4.1, lower case, without punctuation",
        "metrics": f"pycocoevalcap {version('pycocoevalcap')}: CIDEr-D, BLEU (closest), METEOR 1.5, ROUGE-L",
        "hypothesis": "the answer to the image's first caption turn",
        "references": "all of the image in the test set",
        "document_frequency": "the whole test set of the source",
        "vqa": "exact match after normalisation: case, articles, number words, punctuation",
        "count_bins": "0, 1-10, 11-100, 101-1000, more",
        "shuffling_seed": config.seed,
        "decoding": read_decoding(predictions),
        "test_set": {
            "records": len(test),
            "sha256": digest_of([record.sha256 for record in test]),
            "images": "clean" if config.only_clean else "all",
        },
    }
    bootstrap = {"over": "images", "draws": config.bootstrap_draws, "seed": config.seed, "level": 0.95}
    return {**protocol, "bootstrap": bootstrap, "fingerprint": digest_of(protocol)}


def read_decoding(predictions: Path) -> dict[str, Any] | None:
    """How the answers were asked for, where their folder tells; None for answers from elsewhere."""
    try:
        inputs = read_json(predictions.with_name(STARTED))["inputs"]
        return {key.removeprefix(DECODING): inputs[key] for key in sorted(inputs) if key.startswith(DECODING)}
    except (DataError, KeyError, TypeError):
        return None


def protocol_differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The parts in which two protocols differ, by name; empty when their scores may be compared."""
    names = [name for name in {**one, **other} if name not in (*NOT_COMPARED, "fingerprint")]
    return [name for name in names if one.get(name) != other.get(name)]
