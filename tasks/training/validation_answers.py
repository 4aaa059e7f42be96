"""Answers during training: some questions of the validation set, answered with greedy decoding and scored.

The scores compare the steps of one training with each other. Captions are not split by the report's tokenizer, so that
training needs no Java, and CIDEr's document frequency comes from the captions of the validation set.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from random import Random

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from transformers import PreTrainedModel

from tasks.errors import ConfigError
from tasks.evaluation.metrics.answer_matching import normalise_answer, same_answer
from tasks.evaluation.metrics.cider import CiderSpace, mean_similarity
from tasks.image_paths import image_file, image_key
from tasks.model.images import read_image
from tasks.model.inputs import Row, batch_of, prompt_row
from tasks.model.processor import Processor
from tasks.paths import VALIDATION_SET
from tasks.prompt_text import with_placeholder
from tasks.record_reader import Record, images_of
from tasks.training.job import TrainingJob
from tasks.training.samples import read_set
from tasks.training.validation_objective import OBJECTIVE, ScoredAnswer, objective_log, scores_by_source
from tasks.turn_tasks import Task, answered_turns

MAX_NEW_TOKENS = 64
# names of the scores in the log
NAMES: dict[Task, str] = {"captioning": "cider", "vqa": "accuracy"}
WORD = re.compile(r"\w+(?:['-]\w+)*")


@dataclass(frozen=True)
class ValidationQuestion:
    """One question about an image, with its reference answers: for a caption, all captions of the image."""

    image: str
    question: str
    references: tuple[str, ...]
    task: Task


def choose_questions(records: Sequence[Record], count: int, seed: int) -> list[ValidationQuestion]:
    """Choose `count` caption prompts and `count` questions, or as many as there are, deterministically for a seed.

    Of a record, the first caption prompt and one random question may be chosen; records without an image or with
    several are skipped, and so are questions for boxes and reference answers without a word. Captions are not chosen
    if only one image has any: CIDEr needs two.
    """
    captions = image_captions(records)
    with_image = [record for record in records if len(images_of(record)) == 1]
    random = Random(seed)  # noqa: S311 - a sample of questions is no secret
    chosen: dict[str, list[ValidationQuestion]] = defaultdict(list)
    for record in random.sample(with_image, len(with_image)):
        image, pairs = record["image"], _pairs(record)
        if pairs["captioning"] and len(captions) > 1 and len(chosen["captioning"]) < count:
            references = tuple(captions[image_key(image)])
            chosen["captioning"].append(ValidationQuestion(image, pairs["captioning"][0][0], references, "captioning"))
        if pairs["vqa"] and len(chosen["vqa"]) < count:
            question, answer = pairs["vqa"][random.randrange(len(pairs["vqa"]))]
            chosen["vqa"].append(ValidationQuestion(image, question, (answer,), "vqa"))
    return [question for task in sorted(chosen) for question in chosen[task]]


def image_captions(records: Sequence[Record]) -> dict[str, list[str]]:
    """All captions of each image."""
    captions: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if len(images_of(record)) == 1 and (pairs := _pairs(record)["captioning"]):
            captions[image_key(record["image"])] += [caption for _, caption in pairs]
    return captions


def _pairs(record: Record) -> dict[Task, list[tuple[str, str]]]:
    """A record's (question, answer) pairs by task; without those whose answer has no word, as in the report."""
    # boxes are not among the validation's scores
    pairs: dict[Task, list[tuple[str, str]]] = {"captioning": [], "vqa": [], "grounding": []}
    for task, question, answer in answered_turns(record):
        if caption_words(answer) if task == "captioning" else normalise_answer(answer):
            pairs[task].append((question, answer))
    return pairs


def require_scored(questions: Sequence[ValidationQuestion], metric: str) -> None:
    """Raise ConfigError if no question contributes to the metric that selects the best checkpoint."""
    if not questions:
        raise ConfigError(
            "The validation set has no question that can be scored (captions of a single image have no CIDEr, and "
            "boxes are left out): set training.eval_answers=0."
        )
    needed = [task for task, name in NAMES.items() if metric in (name, "loss", OBJECTIVE)]
    if not any(question.task in needed for question in questions):
        raise ConfigError(
            f"The validation set has no questions for the metric {metric}: choose another "
            "training.metric_for_best_model, or set training.eval_answers=0."
        )


def answer_scores(job: TrainingJob, processor: Processor) -> "AnswerScores | None":
    """The AnswerScores of a job, or None if its settings disable them."""
    config = job.training
    if config.eval_answers == 0:
        return None
    records = read_set(job.dataset.path, VALIDATION_SET)
    questions = choose_questions(records, config.eval_answers, config.seed)
    require_scored(questions, config.metric_for_best_model)
    return AnswerScores(questions, image_captions(records), job.dataset.images, processor)


class AnswerScores:
    """Answers the questions of a validation and scores the answers: CIDEr of captions, accuracy of the others.

    `captions` holds the captions of every image of the validation set, for CIDEr's document frequency.
    """

    def __init__(
        self,
        questions: Sequence[ValidationQuestion],
        captions: Mapping[str, Sequence[str]],
        images: Path,
        processor: Processor,
    ):
        self._questions, self._images, self._processor = questions, images, processor
        self._space = CiderSpace([[caption_words(text) for text in group] for group in captions.values()])

    def take(
        self, model: PreTrainedModel, accelerator: Accelerator, batch_size: int, history: Sequence[dict[str, float]]
    ) -> dict[str, float]:
        """Scores by name, and the objective as objective_log has it.

        Every process answers its share, and all return the same scores.
        """
        world, rank = accelerator.num_processes, accelerator.process_index
        # the same number for each process: with ZeRO-3 every forward pass needs all of them
        count = len(self._questions)
        numbers = [number % count for number in range(ceil(count / world) * world)][rank::world]
        with torch.no_grad(), accelerator.autocast():
            answered = gather_object(list(zip(numbers, self._answer(model, numbers, batch_size), strict=True)))
        answers = [text for _, text in sorted(dict(answered).items())]
        return self.scores(answers) | objective_log(scores_by_source(self.scored(answers)), history)

    def scores(self, answers: Sequence[str]) -> dict[str, float]:
        """`cider` and `accuracy` of answers in the order of the questions; each only if it has questions."""
        each: dict[str, list[float]] = defaultdict(list)
        for scored in self.scored(answers):
            each[NAMES[scored.task]].append(scored.score)
        return {name: sum(values) / len(values) for name, values in each.items()}

    def scored(self, answers: Sequence[str]) -> list[ScoredAnswer]:
        """The score of each answer, in the order of the questions."""
        return [
            ScoredAnswer(question.task, question.image, self._score(question, answer))
            for question, answer in zip(self._questions, answers, strict=True)
        ]

    def _score(self, question: ValidationQuestion, answer: str) -> float:
        if question.task == "captioning":
            references = [self._space.vector(caption_words(text)) for text in question.references]
            return mean_similarity(self._space.vector(caption_words(answer)), references)
        return float(same_answer(normalise_answer(answer), normalise_answer(question.references[0])))

    def _answer(self, model: PreTrainedModel, numbers: Sequence[int], batch_size: int) -> Iterator[str]:
        tokenizer = self._processor.tokenizer
        for start in range(0, len(numbers), batch_size):
            rows = [self._row(self._questions[number]) for number in numbers[start : start + batch_size]]
            batch = batch_of(rows, self._processor, side="left")
            inputs = {name: value.to(model.device) for name, value in batch.items()}
            ids = model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=MAX_NEW_TOKENS,
                pad_token_id=self._processor.padding_id,
                use_cache=True,
            )
            texts = tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            yield from (text.strip() for text in texts)

    def _row(self, asked: ValidationQuestion) -> Row:
        ids = self._processor.encode_prompt([("human", with_placeholder(asked.question))])
        return prompt_row(ids, [self._processor.prepare(read_image(image_file(self._images, asked.image)))])


def caption_words(text: str) -> str:
    """A caption's words in lower case, without punctuation, separated by spaces."""
    return " ".join(WORD.findall(text.lower()))
