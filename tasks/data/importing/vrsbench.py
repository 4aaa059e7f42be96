"""VRSBench: the evaluation files of captions, questions and referring expressions, the training file, and annotations.

Evaluation (also of GeoChat's grounding files): [{"image_id", "question", "ground_truth", "question_id", "type"}], with
type caption, ref or one of twelve types of questions. Training: conversations, as LLaVA has them. Annotations: one file
per image, {"image", "caption", "qa_pairs": [{"ques_id", "question", "type", "answer"}]}.
Li et al., NeurIPS 2024 Datasets and Benchmarks; https://huggingface.co/datasets/xiang709/VRSBench.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tasks.data.importing.conversations import read_conversation
from tasks.data.importing.examples import (
    CAPTION_PROMPT,
    NO_ANSWER,
    NOT_AN_OBJECT,
    NOT_TEXT,
    Entry,
    Example,
    Lost,
    as_id,
    as_image,
    as_list,
    as_text,
    question_turns,
    split_field,
    split_of_file,
)
from tasks.data.importing.head import Head, read_head
from tasks.files import read_json
from tasks.json_stream import is_object, iterate_values

CAPTION = "caption"
TASKS = {CAPTION: "captioning", "ref": "grounding"}
OBJECTS = "object with its box (the file of referring expressions has these as questions)"


def recognises(head: Head) -> bool:
    """Whether a file has one of VRSBench's layouts."""
    keys = head.entry.keys()
    if head.members:
        # an annotation may be without questions and objects
        has_pairs = head.member == "qa_pairs" and ("image" in head.members or "ques_id" in keys)
        return has_pairs or {"image", "caption"} <= head.members
    if isinstance(head.entry.get("conversations"), list):
        return True
    # without a question it is a caption, unless it has a model's answer instead
    return {"image_id", "ground_truth"} <= keys and ("question" in keys or "answer" not in keys)


def default_source(files: Sequence[Path]) -> str | None:
    """VRSBench; None for GeoChat's files in its layout, which name images of several data sets without a suffix."""
    image = read_head(files[0]).entry.get("image_id")
    return None if isinstance(image, str) and not PurePosixPath(image).suffix else "VRSBench"


def read(files: Sequence[Path], lost: Lost) -> Iterator[Example]:
    """Yield an example per question, caption or referring expression; its id is `question_id`."""
    for path in files:
        is_annotation = is_object(path)
        # Annotations_val/P0003_0002.json
        split = split_of_file(path) or (split_of_file(path.parent) if is_annotation else {})
        for entry in [read_json(path)] if is_annotation else (listed.value for listed in iterate_values(path)):
            if not isinstance(entry, dict):
                lost[NOT_AN_OBJECT] += 1
            elif "conversations" in entry:
                if example := read_conversation({**split, **entry}, entry["conversations"], lost):
                    yield example
            elif "image_id" in entry:
                if example := _evaluation(entry, split, lost):
                    yield example
            else:
                yield from _annotation(entry, split, lost)


def _evaluation(entry: Entry, split: dict[str, str], lost: Lost) -> Example | None:
    answer = as_text(entry.get("ground_truth"))
    if answer is None or not answer.strip():
        lost[NO_ANSWER if entry.get("ground_truth") in (None, "") else NOT_TEXT] += 1
        return None
    question = as_text(entry.get("question")) or CAPTION_PROMPT
    kind = (as_text(entry.get("type")) or ("" if entry.get("question") else CAPTION)).strip().lower()
    if (image := as_image(entry["image_id"], lost)) is None:
        return None
    fields = split_field(entry.get("split"), lost) or split
    task = TASKS.get(kind, "vqa")
    turns = question_turns(question.strip(), answer.strip(), kind if task == "vqa" else None)
    # without a type the words of the question decide, as in any record
    stated = {"task": task} if kind else {}
    return Example(as_id(entry.get("question_id")), _image_names(image), turns, {**fields, **stated})


def _image_names(name: str) -> tuple[str, ...]:
    """The names that an image may have: GeoChat's files leave the suffix out, and its images are PNG."""
    suffixes = ("",) if PurePosixPath(name).suffix else (".png", ".jpg", ".tif")
    return tuple(f"{name}{suffix}" for suffix in suffixes)


def _annotation(entry: Entry, split: dict[str, str], lost: Lost) -> Iterator[Example]:
    image = str(entry.get("image"))
    stem = PurePosixPath(image).stem
    if isinstance(caption := entry.get("caption"), str) and caption.strip():
        turns = question_turns(CAPTION_PROMPT, caption.strip())
        yield Example(f"{stem}_caption", (image,), turns, {**split, "task": "captioning"})
    pairs = (pair for pair in as_list(entry.get("qa_pairs")) if isinstance(pair, dict))
    for number, pair in enumerate(pairs):
        question, answer = as_text(pair.get("question")), as_text(pair.get("answer"))
        if question and answer:
            turns = question_turns(question.strip(), answer.strip(), str(pair.get("type") or "").strip().lower())
            yield Example(f"{stem}_{pair.get('ques_id', number)}", (image,), turns, {**split, "task": "vqa"})
        else:
            lost[NO_ANSWER] += 1
    if objects := as_list(entry.get("objects")):
        lost[OBJECTS] += len(objects)
