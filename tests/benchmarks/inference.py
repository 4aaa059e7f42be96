"""Answering: questions per second compared with single prompts and with batches, and the cost of many questions."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from rows import Row

from tasks.inference.dialogues import plan_questions, ready_questions
from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.transformers_engine import TransformersEngine
from tasks.inference.request import PredictRequest
from tasks.model.encoding import IMAGE_INDEX
from tasks.model.images import read_image
from tasks.model.inputs import batch_of, prompt_row
from tasks.model.llava.tiny import create_tiny
from tasks.model.loading import LoadedModel, load_model
from tasks.records import Answer, Question
from tasks.settings import InferenceConfig

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
REAL_SIDE, REAL_CPU_SIDE = 336, 64
# as long as "yes", "rural" or "12", and as a caption
SHORT_ANSWER, CAPTION = 3, 12
# number of prompts for the slow methods, which take the same time for every prompt
SAMPLE, PLAIN_BATCH, ROUNDS = 28, 16, 3
PROMPTS = ("Describe it.", "What is the topic of this image?", "Provide a description of the image.",
           "Summarise the scene in one sentence.", "What does this image represent?")  # fmt: skip
WORDS = ("road", "building", "farmland", "river", "parking lot", "forest", "residential area")
COUNTS = (100, 1_000, 10_000)
# the modules are there before the time is taken: they cost the same for any number of questions
PREDICT = """
import sys, time
from pathlib import Path
from tasks.inference.predict import predict
from tasks.inference.request import PredictRequest
request = PredictRequest.model_validate_json(sys.argv[1])
import PIL.Image, PIL.PngImagePlugin
start = time.process_time()
predict(request)
# not getrusage: its peak begins with that of the process that started this one
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(time.process_time() - start, int(peak.split()[1]) * 1024)
"""


class Way(NamedTuple):
    """A way of asking: texts by question, and seconds a question."""

    texts: dict[str, str]
    wall_s: float
    cpu_s: float


def answering_beside_one_at_a_time(folder: Path) -> list[Row]:
    """Questions per second of the engine over those of transformers' generate, one prompt at a time and in batches.

    All compute with one thread and give the same answers. The slow ways answer a sample of the same questions.
    """
    torch.set_num_threads(1)
    records, images = lr_records(folder)
    real = make_model(folder / "real-geometry", records, REAL_SIDE, 14)
    tiny = make_model(folder / "real-cpu", records, REAL_CPU_SIDE, 8)
    questions, captions = questions_of(records), questions_of(caption_records(records))
    return [
        *compare("LR, 336 px", real, images, questions, SHORT_ANSWER, (15, 4)),
        *compare("LR, real-cpu", tiny, images, questions, SHORT_ANSWER, (8, None)),
        *compare("captions, 336 px", real, images, captions, CAPTION, (4, None)),
    ]


def cost_of_many_questions(folder: Path) -> list[Row]:
    """Processor time a question and peak memory of 10,000 questions over those of 100, by the whole of `predict`.

    Time with the echo in the model's place, so that it is that of all that is not the model; memory with a toy
    model. Each image has ten questions.
    """
    Image.new("RGB", (64, 64), "green").save(folder / "image.png")
    create_tiny(folder / "model", WORDS, seed=28)
    seconds = {count: predicted(folder, count, "echo")[0] for count in COUNTS}
    sizes = {count: predicted(folder, count, "transformers")[1] for count in COUNTS}
    for count in COUNTS:
        print(f"  {count} questions: {seconds[count] * 1e6:.0f} us a question, {sizes[count] / 2**20:.0f} MiB at most")
    least, _, most = COUNTS
    return [
        Row("10,000 questions, time of one relative to that of 100", seconds[most] / seconds[least], "<= 1.1"),
        Row("10,000 questions, memory relative to that of 100", sizes[most] / sizes[least], "<= 1.1"),
    ]


def compare(
    name: str,
    loaded: LoadedModel,
    images: Path,
    questions: Sequence[Question],
    tokens: int,
    aims: tuple[float, float | None],
) -> list[Row]:
    """Rows of one model and one set of questions; raises AssertionError unless all ways give the same answers."""
    engine = TransformersEngine(loaded, images, Decoding(tokens))
    sample = sorted(questions, key=lambda question: question.key)[:: max(1, len(questions) // SAMPLE)]
    ask_plainly(loaded, images, sample[:2], tokens, 1)
    # in turns, so that what else the machine does falls on all
    rounds = [
        (
            measured(questions, lambda asked: ask_engine(engine, asked)),
            measured(sample, lambda asked: ask_plainly(loaded, images, asked, tokens, 1)),
            measured(sample, lambda asked: ask_plainly(loaded, images, asked, tokens, PLAIN_BATCH)),
        )
        for _ in range(ROUNDS)
    ]
    ours, alone, batched = map(best, zip(*rounds, strict=True))
    for other in (alone, batched):
        assert other.texts == {question.key: ours.texts[question.key] for question in sample}, name
    assert len(set(ours.texts.values())) > 1, name
    limit = least_seconds(loaded, questions, tokens)
    print(
        f"  {name}: {1 / ours.wall_s:.0f} questions per second; one at a time {1 / alone.wall_s:.1f}, in batches "
        f"{1 / batched.wall_s:.1f}; by processor time {alone.cpu_s / ours.cpu_s:.1f} and "
        f"{batched.cpu_s / ours.cpu_s:.1f} times as fast\n  what must be computed once (images, their prompts, the "
        f"questions' and answers' tokens) alone takes {limit / ours.cpu_s:.0%} of our processor time"
    )
    rows = [Row(f"{name}, relative to one prompt at a time", alone.wall_s / ours.wall_s, f">= {aims[0]}")]
    if aims[1] is not None:
        rows.append(Row(f"{name}, relative to plain batches", batched.wall_s / ours.wall_s, f">= {aims[1]}"))
    return rows


def measured(questions: Sequence[Question], ask: Callable[[Sequence[Question]], dict[str, str]]) -> Way:
    """Ask, and take the time of a question."""
    wall, cpu = time.perf_counter(), time.process_time()
    texts = ask(questions)
    return Way(texts, (time.perf_counter() - wall) / len(questions), (time.process_time() - cpu) / len(questions))


def best(ways: Sequence[Way]) -> Way:
    """The shortest times of some rounds, which all gave the same answers."""
    assert all(way.texts == ways[0].texts for way in ways)
    return Way(ways[0].texts, min(way.wall_s for way in ways), min(way.cpu_s for way in ways))


def ask_engine(engine: TransformersEngine, questions: Sequence[Question]) -> dict[str, str]:
    """Answers of our engine."""
    outcomes = [outcome for batch in engine.answer(questions) for outcome in batch]
    return {outcome.key: outcome.text for outcome in outcomes if isinstance(outcome, Answer)}


@torch.no_grad()
def ask_plainly(
    loaded: LoadedModel, images: Path, questions: Sequence[Question], tokens: int, size: int
) -> dict[str, str]:
    """Answers of transformers' generate, `size` prompts at a time, each with its image."""
    processor, texts = loaded.processor, {}
    for start in range(0, len(questions), size):
        batch = questions[start : start + size]
        shown = [processor.prepare(read_image(images / str(q.image))) for q in batch]
        rows = [prompt_row(processor.encode_prompt(q.turns), [one]) for q, one in zip(batch, shown, strict=True)]
        inputs = batch_of(rows, processor, side="left")
        output = loaded.model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        answers = output[:, inputs["input_ids"].shape[1] :]
        said = processor.tokenizer.batch_decode(answers, skip_special_tokens=True)
        texts |= {question.key: text.strip() for question, text in zip(batch, said, strict=True)}
    return texts


@torch.no_grad()
def least_seconds(loaded: LoadedModel, questions: Sequence[Question], tokens: int) -> float:
    """Processor seconds a question of the model's work that cannot be left out, in the largest pieces there are.

    Each image and its prompt once, and the tokens of questions and answers once, as if nothing stood before them.
    """
    names = {question.image for question in questions}
    prompts = [loaded.processor.encode_prompt(q.turns) for q in questions]
    own = sum(len(ids) - ids.index(IMAGE_INDEX) - 1 + tokens - 1 for ids in prompts)
    before = prompts[0].index(IMAGE_INDEX) + loaded.processor.count_tokens((1, 1))
    side = loaded.model.config.vision_config.image_size
    start = time.process_time()
    loaded.model.get_image_features(pixel_values=torch.zeros(len(names), 3, side, side))
    loaded.model(input_ids=torch.ones(len(names), before, dtype=torch.long), logits_to_keep=1)
    for _ in range(own // 2048):
        loaded.model(input_ids=torch.ones(128, 16, dtype=torch.long), logits_to_keep=1)
    return (time.process_time() - start) / len(questions)


def predicted(folder: Path, count: int, engine: str) -> tuple[float, float]:
    """Processor seconds a question, and peak memory in bytes, of a child that answers `count` questions."""
    records = [
        {"id": str(number), "image": "image.png", "conversations": turns_of(number)} for number in range(count // 10)
    ]
    (folder / f"{count}.json").write_text(json.dumps(records))
    request = PredictRequest(
        model=folder / "model", model_sha256="none", data=folder / f"{count}.json", images=folder,
        out=folder / f"{engine}-{count}", name="toy",
        config=InferenceConfig.model_validate({"engine": engine, "max_new_tokens": 2}),
    )  # fmt: skip
    child = subprocess.run(
        [sys.executable, "-c", PREDICT, request.model_dump_json()], check=True, capture_output=True, text=True
    )
    seconds, size = map(float, child.stdout.split())
    return seconds / count, size


def turns_of(number: int) -> list[dict[str, str]]:
    """Ten rounds of a record."""
    asked = [f"Is there a building number {number} beside road {turn}?" for turn in range(10)]
    asked[0] = f"<image>\n{asked[0]}"
    return [turn for text in asked for turn in ({"from": "human", "value": text}, {"from": "gpt", "value": "yes"})]


def lr_records(folder: Path) -> tuple[list[dict[str, Any]], Path]:
    """Seven images with a hundred questions each, real ones if available, and their folder."""
    if REAL.is_dir():
        print("  questions and images of real records")
        records = json.loads((REAL / "instructions_raw.json").read_text(encoding="utf-8"))
        return [record for record in records if record["image"].startswith("LR/")], REAL / "imagenes"
    rng, generator = random.Random(28), np.random.default_rng(28)
    records = []
    for number in range(7):
        colours = generator.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(colours).save(folder / f"{number}.tif")
        asked = [f"Is there a {rng.choice(WORDS)} beside a {rng.choice(WORDS)}?" for _ in range(100)]
        asked[0] = f"<image>\n{asked[0]}"
        turns = [turn for text in asked for turn in ({"from": "human", "value": text}, {"from": "gpt", "value": "no"})]
        records.append({"id": f"LR_{number}", "image": f"{number}.tif", "conversations": turns})
    return records, folder


def caption_records(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Five prompts about each image of some records."""
    texts = [f"<image>\n{PROMPTS[0]}", *PROMPTS[1:]]
    turns = [turn for text in texts for turn in ({"from": "human", "value": text}, {"from": "gpt", "value": "a road"})]
    return [{**record, "conversations": turns} for record in records]


def questions_of(records: Sequence[dict[str, Any]]) -> list[Question]:
    """All turns of some records, each asked by itself."""
    dialogues = plan_questions(records, "all").dialogues
    return [question for dialogue in dialogues for question in ready_questions(dialogue, "independent", {}, ())]


def make_model(folder: Path, records: Sequence[dict[str, Any]], side: int, patch: int) -> LoadedModel:
    """A toy model with random weights, large enough for its answers to differ."""
    texts = (turn["value"] for record in records for turn in record["conversations"])
    create_tiny(folder, texts, seed=28, image_size=side, patch_size=patch, scale=10)
    return load_model(folder, dtype="float32")
