"""Answers in the course of training: some questions of the validation set, asked greedily and scored.

The scores are there to compare steps of one training with each other. Captions are cut into words without the
tokenizer of the report, so that no Java is needed beside a training, and CIDEr's document frequency is that of the
validation set's captions.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

import torch
from accelerate.utils import gather_object

from tasks.errors import ConfigError
from tasks.evaluation.metrics.answer_matching import normalise_answer, same_answer
from tasks.evaluation.metrics.cider import CiderSpace, mean_similarity
from tasks.image_paths import image_file, image_key
from tasks.model.images import pixels_of, read_image
from tasks.model.llava.prompt import encode_prompt, padding_id
from tasks.model.loading import Processor
from tasks.prompt_text import with_placeholder
from tasks.training.job import TrainingOrder
from tasks.training.training_records import VALIDATION, read_set
from tasks.turn_tasks import Task, turn_tasks

LONGEST_ANSWER = 64
WORD = re.compile(r"\w+(?:['-]\w+)*")


@dataclass(frozen=True)
class Asked:
    """One question about an image, with its true answers: a caption has as many as the image has captions."""

    image: str
    question: str
    references: tuple[str, ...]
    task: str


def choose_questions(records: Sequence[Mapping[str, Any]], count: int, seed: int) -> list[Asked]:
    """`count` captions to ask for and `count` questions, or as many as there are, always the same for a seed.

    Of a record's prompts for captions the first is asked, of its questions any one; records without an image none, and
    none whose true answers hold no word. Captions of one image alone have no CIDEr and are not asked for.
    """
    captions = image_captions(records)
    shown = [record for record in records if record.get("image")]
    random = Random(seed)  # noqa: S311 - a sample of questions is no secret
    chosen: dict[str, list[Asked]] = defaultdict(list)
    for record in random.sample(shown, len(shown)):
        image, pairs = record["image"], _pairs(record)
        if pairs["captioning"] and len(captions) > 1 and len(chosen["captioning"]) < count:
            references = tuple(captions[image_key(image)])
            chosen["captioning"].append(Asked(image, pairs["captioning"][0][0], references, "captioning"))
        if pairs["vqa"] and len(chosen["vqa"]) < count:
            question, answer = pairs["vqa"][random.randrange(len(pairs["vqa"]))]
            chosen["vqa"].append(Asked(image, question, (answer,), "vqa"))
    return [asked for task in sorted(chosen) for asked in chosen[task]]


def image_captions(records: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """All captions of each image."""
    captions: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.get("image") and (pairs := _pairs(record)["captioning"]):
            captions[image_key(record["image"])] += [caption for _, caption in pairs]
    return captions


def _pairs(record: Mapping[str, Any]) -> dict[Task, list[tuple[str, str]]]:
    """A record's questions with their answers, by task; those whose answer holds no word are none, as in the report."""
    texts = [turn["value"] for turn in record["conversations"]]
    pairs: dict[Task, list[tuple[str, str]]] = {"captioning": [], "vqa": []}
    for task, question, answer in zip(turn_tasks(record), texts[::2], texts[1::2], strict=False):
        if caption_words(answer) if task == "captioning" else normalise_answer(answer):
            pairs[task].append((question, answer))
    return pairs


def require_scored(asked: Sequence[Asked], metric: str) -> None:
    """Raise ConfigError when nothing is asked that the best checkpoint could be told by."""
    if not asked:
        raise ConfigError(
            "Nothing in the validation set can be asked and scored, where captions of one image alone have no CIDEr: "
            "set training.eval_answers=0."
        )
    needed = {"cider": ("captioning",), "accuracy": ("vqa",), "loss": ("captioning", "vqa")}[metric]
    if not any(one.task in needed for one in asked):
        raise ConfigError(
            f"Nothing in the validation set gives a {metric}: choose another training.metric_for_best_model, "
            "or set training.eval_answers=0."
        )


def answer_scores(order: TrainingOrder, processor: Processor) -> "AnswerScores | None":
    """What asks and scores the questions of an order, or None where its settings ask for none."""
    config = order.training
    if config.eval_answers == 0:
        return None
    records = read_set(order.dataset.path, VALIDATION)
    asked = choose_questions(records, config.eval_answers, config.seed)
    require_scored(asked, config.metric_for_best_model)
    return AnswerScores(asked, image_captions(records), order.dataset.images, processor)


class AnswerScores:
    """Asks the questions of a validation and scores the answers: CIDEr of captions, accuracy of the others."""

    def __init__(
        self, asked: Sequence[Asked], captions: Mapping[str, Sequence[str]], images: Path, processor: Processor
    ):
        self._asked, self._images, self._processor = asked, images, processor
        self._space = CiderSpace([[caption_words(text) for text in group] for group in captions.values()])

    def take(self, model: Any, accelerator: Any, batch_size: int) -> dict[str, float]:
        """Scores by name; every process answers its share, and all of them come to the same scores."""
        world, rank = accelerator.num_processes, accelerator.process_index
        # as many for each process: with ZeRO-3 they can only work together
        numbers = [number % len(self._asked) for number in range(ceil(len(self._asked) / world) * world)][rank::world]
        with torch.no_grad(), accelerator.autocast():
            answered = gather_object(list(zip(numbers, self._answer(model, numbers, batch_size), strict=True)))
        return self.scores([text for _, text in sorted(dict(answered).items())])

    def scores(self, answers: Sequence[str]) -> dict[str, float]:
        """`cider` and `accuracy` of answers, in the order of the questions; of what is not asked there is none."""
        each: dict[str, list[float]] = defaultdict(list)
        for asked, answer in zip(self._asked, answers, strict=True):
            if asked.task == "captioning":
                references = [self._space.vector(caption_words(text)) for text in asked.references]
                each["cider"].append(mean_similarity(self._space.vector(caption_words(answer)), references))
            else:
                right = same_answer(normalise_answer(answer), normalise_answer(asked.references[0]))
                each["accuracy"].append(float(right))
        return {name: sum(values) / len(values) for name, values in each.items()}

    def _answer(self, model: Any, numbers: Sequence[int], batch_size: int) -> Iterator[str]:
        tokenizer = self._processor.tokenizer
        for start in range(0, len(numbers), batch_size):
            batch = self._batch([self._asked[number] for number in numbers[start : start + batch_size]])
            inputs = {name: value.to(model.device) for name, value in batch.items()}
            ids = model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=LONGEST_ANSWER,
                pad_token_id=padding_id(tokenizer),
                use_cache=True,
            )
            texts = tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            yield from (text.strip() for text in texts)

    def _batch(self, asked: Sequence[Asked]) -> dict[str, torch.Tensor]:
        """Prompts padded on the left, with their mask and images."""
        prompts = [self._prompt(one.question) for one in asked]
        lacking = [max(map(len, prompts)) - len(prompt) for prompt in prompts]
        rows = [[padding_id(self._processor.tokenizer)] * n + ids for n, ids in zip(lacking, prompts, strict=True)]
        mask = [[0] * n + [1] * len(ids) for n, ids in zip(lacking, prompts, strict=True)]
        pixels = [torch.from_numpy(self._pixels(one.image)) for one in asked]
        return {
            "input_ids": torch.tensor(rows),
            "attention_mask": torch.tensor(mask),
            "pixel_values": torch.stack(pixels),
        }

    def _prompt(self, question: str) -> list[int]:
        processor = self._processor
        turns = [("human", with_placeholder(question))]
        return encode_prompt(processor.tokenizer, turns, processor.image_token_id, processor.image_tokens)

    def _pixels(self, image: str) -> Any:
        return pixels_of(read_image(image_file(self._images, image)), self._processor.image_processor)


def caption_words(text: str) -> str:
    """A caption's words in lower case, without punctuation, joined by spaces."""
    return " ".join(WORD.findall(text.lower()))
