"""The head of the report."""

from tasks.evaluation.report.facts import NOTHING_KNOWN, PageFacts
from tasks.records import TrainingFacts

TRAINING = TrainingFacts(
    base="llava-1.5-7b-hf", lora_rank=128, learning_rate=1e-5, epochs=10.1, steps=30000, final_loss=0.31,
    date="2026-11-02"
)  # fmt: skip


def test_the_title_names_run_model_date_and_data() -> None:
    facts = PageFacts("night", TRAINING, 2195)
    assert facts.title("final", ["RSICD", "LR", "LR"]) == "night, final, 2026-11-02, RSICD, LR"
    assert NOTHING_KNOWN.title("answers", ["LR"]) == "answers, LR"


def test_drawn_data_has_no_real_name_alone() -> None:
    facts = PageFacts(drawn=True)
    assert facts.title("final", ["RSICD", "LR"]) == "final, drawn sample data"
    assert facts.label("RSICD") == "RSICD (drawn sample data)"
    assert NOTHING_KNOWN.label("RSICD") == "RSICD"


def test_the_training_is_one_line_of_what_is_known() -> None:
    assert PageFacts("night", TRAINING, 2195).training_line() == (
        "base model llava-1.5-7b-hf, LoRA rank 128, learning rate 1e-05, 10.1 epochs (30,000 steps), 2,195 images, "
        "final loss 0.310"
    )
    bare = TrainingFacts(base=None, lora_rank=None, learning_rate=None, epochs=1.0, steps=1, final_loss=None)
    assert PageFacts("night", bare).training_line() == "1 epoch (1 step)"
    assert NOTHING_KNOWN.training_line() is None


def test_the_base_models_name_in_the_settings_comes_before_that_of_its_directory() -> None:
    named = PageFacts("night", TRAINING, base="llava-hf/llava-1.5-7b-hf")
    assert named.base_name == "llava-hf/llava-1.5-7b-hf" and str(named.training_line()).startswith(
        "base model llava-hf/llava-1.5-7b-hf, "
    )
    assert PageFacts("night", TRAINING).base_name == "llava-1.5-7b-hf"
    assert NOTHING_KNOWN.base_name is None


def test_drawn_data_and_toy_models_have_a_warning() -> None:
    headings = [
        facts.warning and facts.warning[0]
        for facts in (
            PageFacts(drawn=True, base="tiny"),
            PageFacts(drawn=True, base="llava-hf/llava-1.5-7b-hf"),
            PageFacts(base="tiny-qwen"),
            PageFacts(base="llava-hf/llava-1.5-7b-hf"),
            NOTHING_KNOWN,
        )
    ]
    assert headings == ["Drawn sample, toy model", "Drawn sample", "Toy model", None, None]


def test_a_copy_of_the_training_that_lacks_the_day_is_the_same() -> None:
    undated = TRAINING.model_copy(update={"date": None})
    assert undated.content == TRAINING.content
    assert TRAINING.model_copy(update={"steps": 1}).content != TRAINING.content
