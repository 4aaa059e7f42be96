import pytest

from tasks.prompt_text import bare_prompt, tag_of, task_named, with_placeholder, without_placeholder


@pytest.mark.parametrize("text", ["Rural?", "<image>\nRural?", " Rural?\n<image>", "<image> <image>Rural? "])
def test_the_image_placeholder_is_put_in_once_and_taken_out(text):
    assert with_placeholder(text) == "<image>\nRural?"
    assert without_placeholder(text) == "Rural?"


def test_a_text_without_words_is_the_placeholder_alone():
    assert (with_placeholder(" "), without_placeholder("<image>\n")) == ("<image>", "")


@pytest.mark.parametrize(
    "prompt",
    [
        "[vqa] <image>\nIs there a road?",
        "<image>\n[vqa] Is there a road?",
        "[VQA]Is there a road?",
        " [ vqa ] Is there a road?",
    ],
)
def test_a_tag_stands_before_or_behind_the_image(prompt):
    assert (tag_of(prompt) or "").lower() == "vqa" and bare_prompt(prompt) == "is there a road?"


@pytest.mark.parametrize(
    "prompt", ["Is [the ship] there?", "Where is {<10><20><30><40>}?", "[1, 2, 3] which?", "<image>"]
)
def test_other_brackets_are_no_tag(prompt):
    assert tag_of(prompt) is None


@pytest.mark.parametrize(
    "lead_in",
    [
        "Based on the image, ",
        "Based on the image ",
        "According to the picture, ",
        "In this satellite image, ",
        "From the given aerial photo: ",
        "Looking at the scene, ",
        "Based on what you see in the image, ",
        "In the image of a port, ",
        "Question: ",
        "Please tell me, ",
        "You are an expert in remote sensing.\n",
        "This is a satellite image. ",
        "As an analyst, ",
        "Answer the question using a single word or phrase.\n",
        "Give a yes or no answer: ",
        "Look at the image carefully. ",
        "Yes or no: ",
        "2. ",
        "Question 3: ",
        "You are an expert. Based on the image, ",
    ],
)
def test_what_leads_in_is_no_part_of_the_question(lead_in):
    assert bare_prompt(f"<image>\n{lead_in}is there a road?") == "is there a road?"


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("caption", "captioning"),
        ("Image_Captioning", "captioning"),
        ("detailed description", "captioning"),
        ("vqa", "vqa"),
        ("RSVQA", None),
        ("presence", "vqa"),
        ("comp", "vqa"),
        ("rural_urban", "vqa"),
        ("object quantity", "vqa"),
        ("scene classification", "vqa"),
        ("refer", "vqa"),
        ("identify", "vqa"),
        ("question-answering", "vqa"),
        ("counting", "vqa"),
        ("object_size", "vqa"),
        ("scene type", "vqa"),
        ("rural or urban", "vqa"),
        ("multiple-choice", "vqa"),
        ("CLS", "vqa"),
        ("image_cap", "captioning"),
        ("residential area", None),
        ("urban", None),
        ("composition", None),
        ("county", None),
        ("landscape", None),
        ({"name": "vqa"}, None),
        ("caption_vqa", None),
        ("conversation", None),
        ("grounding", None),
        ("train", None),
        ("", None),
        (None, None),
        (3, None),
        (["vqa"], None),
    ],
)
def test_a_name_says_the_task_or_nothing(name, task):
    assert task_named(name) == task
