"""The protocol of a report: everything that must be equal before scores may be compared, and its fingerprint."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.errors import DataError
from tasks.evaluation.metrics.registry import caption_protocol, grounding_protocol, question_protocol
from tasks.evaluation.pairing import PairedRecord
from tasks.evaluation.scores import ComparedProtocol, PartialAnswers, Protocol
from tasks.files import digest_of, read_json
from tasks.paths import STARTED
from tasks.settings import EvaluationConfig

VERSION = 1
# prefix of the inference settings in the inputs record of a predictions folder
DECODING = "inference."
# how intervals are computed changes no score; reports of earlier versions have a bootstrap
NOT_COMPARED = ("intervals", "bootstrap", "fingerprint")
# The inference settings that say which model answered and where it was computed, not how it was asked. They differ
# between a served model and one of the user's own, which must not keep the two from being compared.
SERVED = "api."
SERVED_MODEL = f"{SERVED}model"
OF_A_MODEL = ("engine", "dtype")
# in place of the inference settings
UNKNOWN_DECODING: dict[str, object] = {"unknown": "answers of another program"}
INTERVALS = {
    "method": "Student's t with Hall's correction for skewness, for shares Wilson's with a design effect",
    "over": "images",
    "level": 0.95,
}


def protocol_of(
    test: Sequence[PairedRecord],
    decoding: dict[str, object] | None,
    partial: PartialAnswers | None,
    config: EvaluationConfig,
) -> Protocol:
    """The protocol of a report on the records `test`; `fingerprint` digests all but how intervals are computed.

    Where the answers are `partial`, the test set is that of the answered questions.
    """
    records: list[object] = [record.sha256 for record in test]
    if partial:
        records = [[record.sha256, [turn.number for turn in record.turns]] for record in test]
    compared: ComparedProtocol = {
        "version": VERSION,
        "tokenizer": "PTBTokenizer 3.4.1, lower case, without punctuation",
        "metrics": caption_protocol(),
        "hypothesis": "the answer to the image's first caption turn",
        "references": "all of the image in the test set",
        "document_frequency": "the whole test set of the source",
        "vqa": question_protocol(),
        "count_bins": "0, 1-10, 11-100, 101-1000, more",
        "shuffling_seed": config.seed,
        "decoding": decoding,
        "test_set": {
            "records": len(test),
            "sha256": digest_of(records),
            "images": "clean" if config.only_clean else "all",
        },
    }
    if any(record.asked_for("grounding") for record in test):
        compared["grounding"] = grounding_protocol()
    if partial:
        compared["test_set"]["partial"] = partial
    protocol: Protocol = {**compared, "fingerprint": digest_of(compared)}  # type: ignore[typeddict-item]
    protocol["intervals"] = {**INTERVALS}
    return protocol


def read_decoding(predictions: Path) -> dict[str, object] | None:
    """The inference settings of answers of `rsvlm predict`, from the inputs record next to them; None without one."""
    try:
        inputs = read_json(predictions.with_name(STARTED))["inputs"]
        return {key.removeprefix(DECODING): inputs[key] for key in sorted(inputs) if key.startswith(DECODING)}
    except (DataError, KeyError, TypeError):
        return None


def served_model(decoding: object) -> str | None:
    """The name of the served model that gave answers with these inference settings; None for any other model."""
    name = decoding.get(SERVED_MODEL) if isinstance(decoding, Mapping) else None
    return name if isinstance(name, str) else None


def _asked_alike(one: object, other: object) -> bool:
    """Whether answers, some of them of a served model, were asked for in the same way."""
    if not (isinstance(one, Mapping) and isinstance(other, Mapping) and (served_model(one) or served_model(other))):
        return False
    plain = [
        {name: value for name, value in each.items() if name not in OF_A_MODEL and not name.startswith(SERVED)}
        for each in (one, other)
    ]
    return plain[0] == plain[1]


def protocol_differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The names of the parts in which two protocols differ; empty when their scores may be compared.

    How another program decoded is not known: that is no difference, but whoever shows a comparison must say so.
    """
    names = [name for name in {**one, **other} if name not in NOT_COMPARED]
    different = [name for name in names if one.get(name) != other.get(name)]
    if "decoding" in different and _asked_alike(one.get("decoding"), other.get("decoding")):
        different.remove("decoding")
    unknown = UNKNOWN_DECODING in (one.get("decoding"), other.get("decoding"))
    return [name for name in different if not (unknown and name == "decoding")]
