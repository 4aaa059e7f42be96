import pytest

from tasks.prompt_text import (
    asks_for_caption,
    bare_prompt,
    tag_of,
    task_from_name,
    with_placeholder,
    without_placeholder,
)


@pytest.mark.parametrize("text", ["Is it?", "<image>\nIs it?", " Is it?\n<image>", "<image> <image>Is it? "])
def test_placeholder_is_removed_and_put_on_the_first_line(text):
    assert without_placeholder(text) == "Is it?"
    assert with_placeholder(text) == "<image>\nIs it?"


def test_text_without_words_becomes_the_placeholder_alone():
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
def test_tag_is_found_before_and_after_the_image_placeholder(prompt):
    assert (tag_of(prompt) or "").lower() == "vqa" and bare_prompt(prompt) == "is there a road?"


@pytest.mark.parametrize(
    "prompt", ["Is [the ship] there?", "Where is {<10><20><30><40>}?", "[1, 2, 3] which?", "<image>"]
)
def test_other_brackets_are_not_a_tag(prompt):
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
def test_bare_prompt_drops_the_lead_in(lead_in):
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
        ("grounding", "grounding"),
        ("Visual_Grounding", "grounding"),
        ("background", None),
        ("train", None),
        ("", None),
        (None, None),
        (3, None),
        (["vqa"], None),
    ],
)
def test_task_from_name_is_the_stated_task_or_none(name, task):
    assert task_from_name(name) == task


CAPTIONS = """
Summarize the visual content of the image.
Summarise this view in a few words
Could you please provide the caption
Provide a brief description of the given image.
Offer a succinct explanation of the picture presented.
Give a short and clear explanation of the subsequent image.
Share a concise interpretation of the image provided.
Present a compact description of the photo's key features.
Relay a brief, clear account of the picture shown.
Render a clear and concise summary of the photo.
Write a terse but informative summary of the picture.
Create a compact narrative representing the image presented.
Describe the following image.
Give an elaborate explanation of the image you see
Share a comprehensive rundown of the presented image
Offer a thorough analysis of the image
Explain the various aspects of the image before you
Clarify the contents of the displayed image with great detail
Characterize the image using a well-detailed description
Break down the elements of the image in a detailed manner
Walk through the important details of the image
Portray the image with a rich, descriptive narrative
Narrate the contents of the image with precision
Analyze the image in a comprehensive and detailed manner
Illustrate the image through a descriptive explanation
Examine the image closely and share its details
Write an exhaustive depiction of the given image
What does this image represent?
What is the topic of this image?
Provide a description of the image
What do you see in this image?
What is in the image?
What's in this picture?
What is happening in the scene?
A short image caption.
Image caption:
a photo of
Can you describe this satellite image?
Would you mind describing the scene?
In one sentence, describe the image.
Use one sentence to describe the image
In a short sentence describe the image
Briefly describe this picture
Describe it.
Describe the main objects and their locations
Generate a one-sentence caption for the provided image.
I would like a caption
How would you describe this image?
How can this aerial image be described?
Tell me about this image
Take a look at this image and describe what you notice
Based on the image, write a caption
[caption] Describe the image in detail
You are a remote sensing expert. Describe the image.
As a remote sensing analyst, please provide a detailed caption of the image.
Here is an aerial image. Describe it.
This is a satellite image. What does it show?
Describe the image, including the number of buildings and their colors.
Describe the remote sensing image in one sentence, focusing on the number of objects and their location.
Please look carefully at the image and describe it in detail.
Identify and describe the main objects in the image.
What are the main features of this image?
What's the content of the image?
What caption fits this image?
What would be a good caption for this image?
What do we see here?
What information can you get from this image?
Tell me what's going on in this image.
Please tell me about the content of this image.
I want to know what this image shows.
State what the image shows.
Introduce this image.
Please give a brief introduction of the image.
Translate the image into text.
Image description please.
Detailed description of the image:
The image shows
Generate alt text for this image.
Do you mind describing the image?
Would you be so kind as to describe the picture?
""".strip().splitlines()

QUESTIONS = """
Give the number of buildings
Provide the number of ships in the image
Write the count of planes
State the number of cars
Give me the location of <p>the ship</p>
Give the type of the land use
Please give the category of the scene
Generate the class of the scene
Provide the bounding box of the ship
Please provide the area of the farmland
Describe the color of the car
Describe the location of the ship
Give a yes or no answer: is there a road?
Provide your answer in one word
Give one word for the scene
Give the number of sentences
Is there a road?
Can you see a road?
Does this picture contain trees?
How many captions are there?
Select the right caption
Which class describes the image best?
Choose the category that best describes the scene
Classify the image
Count the buildings
Analyze the image and determine whether there is a road
Look at the image and count the ships
Explain why the road is closed
Tell me how many ships there are
What is the theme of this picture?
What is the location of the cross point in this picture?
What is in the center of the image?
What is the area covered by buildings?
What is this?
Identify the object in the box
Name the largest object
Generate a question
[vqa] Does the image contain a road?
Describe the region {<10><20><30><40>|<0>}.
Describe <p>the ship</p>
Give a caption for [0.1, 0.2, 0.3, 0.4]
What is shown in the top left corner?
What is shown in the center of the image?
What do you see in the top-left corner of the image?
Look at the image. Are there ships?
You are a remote sensing expert. Is there a road?
Summarize the relation between the ship and the pier
What caption fits this image best, of the following options?
""".strip().splitlines()


@pytest.mark.parametrize("prompt", CAPTIONS)
@pytest.mark.parametrize("form", ["{}", "<image>\n{}", "{}\n<image>"])
def test_caption_prompts_are_recognised(prompt, form):
    assert asks_for_caption(form.format(prompt))


@pytest.mark.parametrize("prompt", QUESTIONS)
@pytest.mark.parametrize("form", ["{}", "<image>\n{}", "{}\nAnswer the question using a single word or phrase."])
def test_questions_are_not_taken_for_caption_prompts(prompt, form):
    assert not asks_for_caption(form.format(prompt))
