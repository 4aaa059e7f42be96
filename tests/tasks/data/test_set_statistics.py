import json

from tasks.data.set_statistics import count_tokens
from tasks.model.loading import load_processor


def test_tokens_are_counted_by_set_and_source_with_the_models_tokenizer(tiny_model_dir, tmp_path):
    question, answer = "Is it a rural or an urban area", "a beach with white sand"
    turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}] * 2
    for name, sources in (("train", ("LR", "LR", "DOTA")), ("val", ()), ("test", ("LR",))):
        records = [
            {"id": str(n), "image": f"{source}/{n}.tif", "conversations": turns} for n, source in enumerate(sources)
        ]
        (tmp_path / f"data_{name}.json").write_text(json.dumps(records))
    processor = load_processor(tiny_model_dir)
    question_tokens, answer_tokens = (
        len(processor.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (question, answer)
    )
    counts = {"records": 1, "questions": 2 * question_tokens, "answers": 2 * answer_tokens}
    assert question_tokens > 1 and answer_tokens > 1
    assert count_tokens(tmp_path, tiny_model_dir) == {
        "image": processor.image_tokens,
        "sets": {
            "train": {"LR": {key: 2 * number for key, number in counts.items()}, "DOTA": counts},
            "val": {},
            "test": {"LR": counts},
        },
    }
