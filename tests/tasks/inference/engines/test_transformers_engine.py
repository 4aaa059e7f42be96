import json
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from PIL import Image
from support.locations import ORACLE

from tasks.files import read_json, read_json_lines, sha256_of
from tasks.inference.dialogues import plan_questions, ready_questions
from tasks.inference.engines.base import Refusal
from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.transformers_engine import TransformersEngine, prepare
from tasks.inference.predict import predict
from tasks.manifests import folder_digest
from tasks.model.images import read_image
from tasks.model.inputs import batch_of, prompt_row
from tasks.model.loading import LoadedModel, load_model
from tasks.records import Question

MAX_NEW_TOKENS = 12


@pytest.fixture
def questions(records):
    """Questions of very different lengths about four images."""
    records[3]["conversations"][0]["value"] += " Say it in one word, and then say why, in as many words as you like."
    dialogues = plan_questions(records, "all").dialogues
    return [question for dialogue in dialogues for question in ready_questions(dialogue, "reference", {}, ())]


@pytest.fixture
def engine_with(lively_model, images) -> Callable[..., TransformersEngine]:
    def build(batch_size: int = 3, max_new_tokens: int = MAX_NEW_TOKENS, **changes) -> TransformersEngine:
        return TransformersEngine(replace(lively_model, **changes), images, Decoding(max_new_tokens), batch_size)

    return build


def answers_of(engine, questions):
    return {answer.key: answer for batch in engine.answer(questions) for answer in batch}


def said(answers):
    """The answers without their probabilities, whose last digits depend on the order of sums."""
    return {key: (answer.text, answer.tokens) for key, answer in answers.items()}


def generated_alone(lively_model, images, question: Question) -> str:
    """The answer of transformers' own generate to one prompt."""
    _, generated, _ = generated_ids(lively_model, images, question)
    return lively_model.processor.tokenizer.decode(generated, skip_special_tokens=True).strip()


def generated_ids(lively_model, images, question: Question):
    """The token ids of a prompt and of the answer by transformers' own generate, and the image's pixel values."""
    processor = lively_model.processor
    row = prompt_row(processor.encode_prompt(question.turns), [processor.prepare(read_image(images / question.image))])
    batch = batch_of([row], processor)
    output = lively_model.model.generate(**batch, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
    return row.ids, output[0, len(row.ids) :].tolist(), batch["pixel_values"]


def test_answers_equal_those_of_one_prompt_at_a_time(lively_model, images, questions, engine_with):
    expected = {question.key: generated_alone(lively_model, images, question) for question in questions}
    assert len(set(expected.values())) > 1
    answers = answers_of(engine_with(batch_size=5), questions)
    assert {key: answer.text for key, answer in answers.items()} == expected


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_answers_do_not_depend_on_the_batch(engine_with, questions, batch_size):
    answers, others = answers_of(engine_with(batch_size), questions), answers_of(engine_with(3), questions)
    assert said(answers) == said(others)
    for key, answer in answers.items():
        assert answer.mean_log_probability == pytest.approx(others[key].mean_log_probability, abs=1.1e-3)


@pytest.mark.parametrize("stopping", [False, True])
def test_the_probability_is_the_product_over_the_tokens_and_the_stop(
    lively_model, images, questions, engine_with, stopping
):
    engine, question = engine_with(), questions[0]
    ids, generated, pixels = generated_ids(lively_model, images, question)
    if stopping:
        engine._stops = [generated[3]]
        generated = generated[: generated.index(generated[3]) + 1]
    # all tokens in one pass, without cache, batch or shared prefix
    with torch.no_grad():
        whole = torch.tensor([ids + generated])
        logits = lively_model.model(
            input_ids=whole, attention_mask=torch.ones_like(whole), pixel_values=pixels
        ).logits[0].double()  # fmt: skip
    steps = torch.log_softmax(logits, -1)[len(ids) - 1 : -1]
    logs = [float(step[token]) for step, token in zip(steps, generated, strict=True)]
    alone = engine.answer_alone(question)
    for answer in (answers_of(engine, questions)[question.key], alone):
        assert answer.tokens == len(generated) - stopping
        # as far as they are rounded
        assert answer.probability == pytest.approx(math.exp(sum(logs)), rel=6e-4)
        assert answer.mean_log_probability == pytest.approx(sum(logs) / len(generated), abs=6e-4)


def test_a_transform_equals_the_answers_about_transformed_files(lively_model, images, questions, engine_with, tmp_path):
    for path in {images / question.image for question in questions}:
        target = tmp_path / "turned" / path.relative_to(images)
        target.parent.mkdir(parents=True)
        read_image(path).transpose(Image.Transpose.ROTATE_90).save(target)
    turned = TransformersEngine(lively_model, images, Decoding(MAX_NEW_TOKENS), 3, transform="rot90")
    expected = TransformersEngine(lively_model, tmp_path / "turned", Decoding(MAX_NEW_TOKENS), 3)
    answers = said(answers_of(turned, questions))
    assert answers == said(answers_of(expected, questions))
    assert answers != said(answers_of(engine_with(), questions))


def test_a_sampled_answer_has_no_probability(lively_model, images, questions):
    engine = TransformersEngine(lively_model, images, Decoding(3, temperature=1.0), 4)
    answers = [*answers_of(engine, questions[:4]).values(), engine.answer_alone(questions[0])]
    assert {(answer.probability, answer.mean_log_probability) for answer in answers} == {(None, None)}


def test_answers_do_not_depend_on_the_order_of_questions(engine_with, questions):
    assert said(answers_of(engine_with(), questions[::-1])) == said(answers_of(engine_with(), questions))


def test_the_image_decides_the_answer(engine_with, questions, images, records):
    before = said(answers_of(engine_with(), questions))
    (images / records[0]["image"]).write_bytes((images / records[2]["image"]).read_bytes())
    after = said(answers_of(engine_with(), questions))
    changed = {key for key in before if before[key] != after[key]}
    assert changed and changed <= {question.key for question in questions if question.record == 0}


def test_an_answer_ends_at_the_stop_token(engine_with, questions, lively_model):
    (answer,) = answers_of(engine_with(1), questions[:1]).values()
    assert answer.tokens == MAX_NEW_TOKENS
    ids = lively_model.processor.tokenizer.encode(answer.text, add_special_tokens=False)
    engine = engine_with(1)
    engine._stops = [ids[-1]]
    (cut,) = answers_of(engine, questions[:1]).values()
    assert cut.tokens < MAX_NEW_TOKENS and answer.text.startswith(cut.text)


def test_an_unreadable_image_refuses_its_questions_alone(engine_with, questions, images, records):
    (images / records[1]["image"]).write_bytes(b"no image")
    outcomes = [outcome for batch in engine_with().answer(questions) for outcome in batch]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert {refusal.record for refusal in refused} == {1}
    assert len(outcomes) == len(questions) and len(refused) == 3
    assert all("is not a readable image" in refusal.reason for refusal in refused)


def test_a_prompt_longer_than_the_context_is_refused_and_never_truncated(engine_with, questions):
    long = questions[0].model_copy(
        update={"key": "9:0", "record": 9, "turns": (("human", "<image>\n" + "why " * 4000),)}
    )
    outcomes = [outcome for batch in engine_with().answer([*questions, long]) for outcome in batch]
    (refused,) = (outcome for outcome in outcomes if isinstance(outcome, Refusal))
    assert refused.record == 9 and "tokens" in refused.reason


def test_a_prompt_that_leaves_no_room_for_the_answer_is_refused(engine_with, questions, lively_model):
    processor = lively_model.processor
    tokens = len(processor.encode_prompt(questions[0].turns)) - 1 + processor.image_tokens
    left = lively_model.model.config.text_config.max_position_embeddings - tokens
    (batch,) = engine_with(1, max_new_tokens=left + 1).answer(questions[:1])
    assert isinstance(batch[0], Refusal)


def test_a_second_image_placeholder_is_refused(engine_with, questions):
    double = questions[0].model_copy(update={"turns": (("human", "<image>\na"), ("gpt", "an <image>"), ("human", "b"))})
    (batch,) = engine_with().answer([double])
    assert "2 image placeholders" in batch[0].reason


def test_an_image_is_read_once_for_all_its_questions(engine_with, questions, lively_model):
    class CountingProcessor:
        calls = 0

        def __call__(self, *values, **options):
            self.calls += 1
            return lively_model.processor.image_processor(*values, **options)

        def __getattr__(self, name):
            return getattr(lively_model.processor.image_processor, name)

    counting = CountingProcessor()
    answers_of(engine_with(2, processor=replace(lively_model.processor, image_processor=counting)), questions)
    assert counting.calls == len({question.image for question in questions})


def test_the_fingerprint_names_number_type_and_device(request_for, records, tiny_model_dir):
    prepared = prepare(request_for(records, model=tiny_model_dir, config={"engine": "transformers"}))
    assert (prepared.fingerprint, prepared.dtype) == ("transformers float32 cpu", "float32")


def test_a_model_directory_answers_a_test_set(request_for, records, tiny_model_dir):
    request = request_for(
        records,
        model=tiny_model_dir,
        model_sha256=folder_digest(tiny_model_dir),
        config={"max_new_tokens": 4, "engine": "transformers"},
    )
    folder = predict(request).path
    log = {row["key"]: row for row in read_json_lines(folder / "answers.jsonl")}
    assert len(log) == 7
    found = read_json(folder / "probabilities.json")
    assert found["answers_sha256"] == sha256_of(folder / "final.json")
    names = ("probability", "mean_log_probability")
    assert [(f"{row['record']}:{row['turn']}", *(row[name] for name in names)) for row in found["probabilities"]] == [
        (key, *(row[name] for name in names)) for key, row in log.items()
    ]
    assert all(0 < row["probability"] <= 1 and row["mean_log_probability"] <= 0 for row in log.values())


# PEFT asks transformers for a deprecated name
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_model_with_an_adapter_gives_the_answers_of_one_prompt_at_a_time(lively_model, images, questions):
    from peft import LoraConfig, get_peft_model

    # random weights: an adapter is initialised so that it changes nothing
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(28)
        tuned = replace(lively_model, model=get_peft_model(deepcopy(lively_model.model), config).eval())
    answers = answers_of(TransformersEngine(tuned, images, Decoding(MAX_NEW_TOKENS), 3), questions)
    expected = {question.key: generated_alone(tuned, images, question) for question in questions}
    assert {key: answer.text for key, answer in answers.items()} == expected
    assert expected != {question.key: generated_alone(lively_model, images, question) for question in questions}


@pytest.fixture(scope="module")
def reference_model() -> LoadedModel:
    """The checkpoint of the LLaVA 1.5 reference, whose answers are known token for token."""
    if not ORACLE.is_dir():
        pytest.skip("golden values not present")
    return load_model(ORACLE / "models" / "tiny-llava-v1.5", dtype="float32")


@pytest.mark.parametrize("batch_size", [1, 3])
def test_answers_equal_those_of_the_reference(reference_model, batch_size):
    cases = [case for case in json.loads((ORACLE / "generate.json").read_text()) if case["conv_mode"] == "vicuna_v1"]
    questions = [
        Question(
            key=f"{number}:0",
            record=number,
            turn=0,
            image=case["image"],
            turns=(("human", f"<image>\n{case['question']}"),),
        )
        for number, case in enumerate(cases)
    ]
    # the reference's ids begin with <s>, which is not generated
    decoding = Decoding(len(cases[0]["base"]["ids"]) - 1)
    engine = TransformersEngine(reference_model, ORACLE / "images" / "src", decoding, batch_size)
    answers = {answer.key: answer.text for batch in engine.answer(questions) for answer in batch}
    assert answers == {f"{number}:0": case["base"]["text_skip"].strip() for number, case in enumerate(cases)}
