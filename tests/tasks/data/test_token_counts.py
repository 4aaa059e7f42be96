import json

from tasks.data.token_counts import count_tokens
from tasks.model.loading import load_processor


def test_tokens_are_those_of_the_models_tokenizer_by_set_and_source(tiny_model_dir, tmp_path):
    question, answer = "Is it a rural or an urban area", "a beach with white sand"
    turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}] * 2
    for name, sources in (("train", ("LR", "LR", "DOTA")), ("val", ()), ("test", ("LR",))):
        records = [
            {"id": str(n), "image": f"{source}/{n}.tif", "conversations": turns} for n, source in enumerate(sources)
        ]
        (tmp_path / f"data_{name}.json").write_text(json.dumps(records))
    processor = load_processor(tiny_model_dir)
    asked, said = (len(processor.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (question, answer))
    one = {"records": 1, "questions": 2 * asked, "answers": 2 * said}
    assert asked > 1 and said > 1
    assert count_tokens(tmp_path, tiny_model_dir) == {
        "image": processor.image_tokens,
        "sets": {
            "train": {"LR": {key: 2 * number for key, number in one.items()}, "DOTA": one},
            "val": {},
            "test": {"LR": one},
        },
    }
