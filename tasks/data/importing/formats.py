"""The registry of import formats: for each, what recognises its files and what reads them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.data.importing import coco, karpathy, llava_jsonl, ms_swift, rsvqa, sharegpt, vrsbench
from tasks.data.importing.examples import Example, Lost
from tasks.data.importing.head import Head, read_head
from tasks.errors import DataError

ANSWERS = "it holds answers of a model: score them with `rsvlm evaluate --predictions`"


def _no_default(files: Sequence[Path]) -> str | None:
    return None


def _nothing(head: Head) -> bool:
    return False


@dataclass(frozen=True)
class Format:
    """One format: `recognises` decides from the beginning of a file, `read` yields examples and counts what is lost.

    `joins` recognises files of another format that are read along. `default_source` names the source of the images
    where the user does not; None leaves image paths as they are, and it raises DataError if a name is needed.
    """

    name: str
    recognises: Callable[[Head], bool]
    read: Callable[[Sequence[Path], Lost], Iterator[Example]]
    default_source: Callable[[Sequence[Path]], str | None] = _no_default
    joins: Callable[[Head], bool] = _nothing


# the first that recognises a file reads it
FORMATS = {
    format.name: format
    for format in (
        Format("rsvqa", rsvqa.recognises, rsvqa.read, rsvqa.default_source),
        Format("karpathy", karpathy.recognises, karpathy.read, karpathy.default_source),
        Format("coco", coco.recognises, coco.read),
        Format("llava-jsonl", llava_jsonl.recognises, llava_jsonl.read, joins=rsvqa.holds_answers),
        Format("ms-swift", ms_swift.recognises_own, ms_swift.read),
        Format("sharegpt", sharegpt.recognises, sharegpt.read),
        Format("vrsbench", vrsbench.recognises, vrsbench.read, vrsbench.default_source),
    )
}


def choose_format(files: Sequence[Path], name: str | None) -> Format:
    """The format of all files, from their content; raises DataError for an unknown one and for files of several.

    With `name`, only that the files can be of this format is checked.
    """
    heads = {path: read_head(path) for path in files}
    found = {path: _format_of(head) for path, head in heads.items()}
    if name is not None:
        chosen = FORMATS[name]
        _require(chosen, heads, found)
        return chosen
    if None in found.values():
        raise _unknown(next(path for path in files if found[path] is None), heads)
    for candidate in dict.fromkeys(found.values()):
        if candidate and all(_takes(candidate, heads[path]) or found[path] is candidate for path in files):
            return candidate
    listed = ", ".join(f"{path.name} is {each.name}" for path, each in found.items() if each)
    raise DataError(f"The files are of several formats ({listed}): import them one after the other.")


def _format_of(head: Head) -> Format | None:
    return next((each for each in FORMATS.values() if each.recognises(head)), None)


def _takes(chosen: Format, head: Head) -> bool:
    return chosen.recognises(head) or chosen.joins(head)


def _require(chosen: Format, heads: dict[Path, Head], found: dict[Path, Format | None]) -> None:
    wide = {"ms-swift": ms_swift.recognises}.get(chosen.name, chosen.recognises)
    for path, head in heads.items():
        if not (wide(head) or chosen.joins(head)):
            other = found[path]
            if other is None:
                raise _unknown(path, heads)
            raise DataError(f"{path} is not {chosen.name} but {other.name}: leave the format out, or give this one.")


def _unknown(path: Path, heads: dict[Path, Head]) -> DataError:
    head = heads[path]
    if _is_answer(head):
        return DataError(f"{path} has no questions; {ANSWERS}.")
    keys = ", ".join(map(repr, list(head.entry) or sorted(head.members))) or "nothing"
    return DataError(
        f"{path} is of none of the known formats ({', '.join(FORMATS)}); its first record has {keys[:200]}: rewrite it "
        "with id, image and conversations in each record."
    )


def _is_answer(head: Head) -> bool:
    keys = head.entry.keys()
    return ("question_id" in keys and bool({"text", "answer"} & keys)) or {"image_id", "caption"} <= keys
