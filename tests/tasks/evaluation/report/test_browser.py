"""The report in a real browser: no errors, no requests, usable by keyboard."""

import base64
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.settings import EvaluationConfig

IMAGES = 300
QUESTIONS = (("Is there a road?", ("yes", "no")), ("How many roads are there?", ("2", "30")))
ODD = (
    "<script>alert(1)</script>",
    "\u0645\u0637\u0627\u0631",
    "\u2028",
    "",
    '"><img src=x onerror=alert(1)>',
    "\U0001f44d",
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with 300 examples, each with an image that compresses poorly."""
    import json

    folder = tmp_path_factory.mktemp("browser")
    draw, pixels = random.Random(1), np.random.default_rng(1)
    sets: dict[str, list[dict[str, Any]]] = {"test": [], "final": [], "base": []}
    for number in range(IMAGES):
        image = f"LR/Train/{number}.tif"
        noise = pixels.integers(0, 255, (240, 240, 3), dtype=np.uint8)
        path = folder / "imagenes" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(path)
        truths = [draw.choice(choices) for _, choices in QUESTIONS]
        said = truths if number % 3 else [ODD[number % len(ODD)]] * 2
        for name, answers in (("test", truths), ("final", said), ("base", ["no", "2"])):
            turns = [
                {"from": role, "value": text}
                for (question, _), answer in zip(QUESTIONS, answers, strict=True)
                for role, text in (("human", question), ("gpt", answer))
            ]
            sets[name].append({"id": number, "image": image, "conversations": turns})
    for name, rows in sets.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    files = EvaluationFiles(
        folder / "test.json", folder / "final.json", base=folder / "base.json", images=folder / "imagenes"
    )
    return evaluate(files, folder / "final", EvaluationConfig(gallery=IMAGES)).path / "report.html"


def test_300_examples_take_less_than_10_mb(report: Path) -> None:
    # one of them is in the summary too
    assert report.read_text().count("data:image/jpeg") == IMAGES + 1
    assert report.stat().st_size < 10e6


def test_the_page_causes_no_errors_and_no_requests(browser: Any, report: Path) -> None:
    browser.open(report.as_uri())
    assert browser.run("document.querySelectorAll('.example:not([hidden])').length") == IMAGES
    assert (browser.errors, browser.warnings) == ([], [])
    assert [address for address in browser.requests if not address.startswith("data:")] == [report.as_uri()]
    assert browser.run("document.querySelectorAll('[onerror]').length + document.scripts.length") == 1


def test_injected_markup_is_neither_run_nor_fetched(browser: Any, report: Path) -> None:
    browser.open(report.as_uri())
    injected = "<img src='http://127.0.0.1:9/x.png' onerror='window.ran=1'>"
    browser.run(f'document.body.insertAdjacentHTML("beforeend", "{injected}")')
    browser.run("new Promise((done) => setTimeout(done, 50))")
    assert browser.run("window.ran") is None
    assert any("Content Security Policy" in text for text in browser.errors)


def test_examples_can_be_filtered_and_searched(browser: Any, report: Path) -> None:
    browser.open(report.as_uri())
    shown = "document.querySelectorAll('.example:not([hidden])').length"

    def choose(name: str, value: str) -> int:
        browser.run(
            f"(() => {{ const field = document.forms.filters.elements.{name}; field.value = '{value}';"
            "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        return int(browser.run(shown))

    assert choose("state", "wrong") == IMAGES // 3
    assert browser.run("document.querySelectorAll('.example tbody tr:not([hidden]) .right').length") < IMAGES
    assert 0 < choose("type", "count") <= IMAGES // 3
    choose("type", "")
    choose("state", "")
    gained = choose("change", "better")
    assert choose("state", "right") == gained
    assert browser.run("document.querySelectorAll('.example tbody tr:not([hidden]) td:last-child .right').length") == 0
    assert choose("state", "") == gained
    assert 0 < choose("change", "worse") < IMAGES
    choose("change", "")
    choose("state", "wrong")
    assert choose("search", "LR/Train/3.tif") == 1
    assert browser.run("document.getElementById('shown').textContent") == f"1 of {IMAGES}"
    browser.run("document.forms.filters.reset()")
    browser.run("new Promise((done) => setTimeout(done))")
    assert browser.run(shown) == IMAGES


def test_the_gallery_works_by_keyboard(browser: Any, report: Path) -> None:
    browser.open(report.as_uri())
    browser.press("j")
    browser.press("j")
    assert browser.run("[...document.querySelectorAll('.example')].indexOf(document.activeElement)") == 1
    browser.press("k")
    assert browser.run("[...document.querySelectorAll('.example')].indexOf(document.activeElement)") == 0
    browser.press("/")
    assert browser.run("document.activeElement.name") == "search"
    browser.press("7")
    assert browser.run("document.activeElement.value") == "7"
    browser.press("Escape")
    assert browser.run("document.forms.filters.elements.search.value") == ""


ENLARGED = "document.querySelector('dialog[open]')"


def test_a_click_enlarges_an_example_with_its_answers(browser: Any, report: Path) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    browser.open(report.as_uri())
    browser.run("document.querySelectorAll('.example .picture')[3].click()")
    browser.wait_for(f"{ENLARGED}.querySelector('img').getBoundingClientRect().height > 600")
    name = "document.querySelectorAll('.example .picture')[{}].alt"
    shown = f"{ENLARGED}.querySelector('img').alt"
    assert browser.run(shown) == browser.run(name.format(3))
    assert browser.run(f"{ENLARGED}.querySelectorAll('.answers tbody tr').length") == len(QUESTIONS)
    browser.press("ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    assert browser.run(shown) == browser.run(name.format(4))
    browser.run(f"{ENLARGED}.querySelector('button[aria-label=Close]').click()")
    assert not browser.run(ENLARGED)
    # where the reader was
    browser.wait_for("document.activeElement === document.querySelectorAll('.example .picture')[4]")
    assert browser.errors == []


def test_enlarging_works_by_keyboard_and_passes_over_filtered_examples(browser: Any, report: Path) -> None:
    browser.open(report.as_uri())
    browser.run(
        "(() => { const field = document.forms.filters.elements.rank; field.value = 'worst';"
        "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    browser.press("j")
    browser.press("Enter", code="Enter", windowsVirtualKeyCode=13)
    first = "document.querySelector('.example[data-rank=worst] .picture')"
    assert browser.run(f"{ENLARGED}.querySelector('img').alt === {first}.alt")
    browser.press("ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37)
    assert browser.run(f"{ENLARGED}.querySelector('img').alt === {first}.alt")
    browser.press("Escape", code="Escape", windowsVirtualKeyCode=27)
    browser.wait_for(f"!{ENLARGED}")


@pytest.mark.parametrize("width", [1280, 390])
def test_an_enlarged_example_fits_the_screen(browser: Any, report: Path, width: int) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=True)
    browser.open(report.as_uri())
    browser.run("document.querySelector('.example .picture').click()")
    left, right = browser.run(f"(box => [box.left, box.right])({ENLARGED}.getBoundingClientRect())")
    assert left >= 0 and right <= width
    assert browser.run(f"{ENLARGED}.scrollWidth <= {ENLARGED}.clientWidth")


@pytest.mark.parametrize(("query", "dialogs"), [("", 0), ("?print", 1)])
def test_300_examples_of_a_source_print_on_at_most_four_pages(
    browser: Any, report: Path, query: str, dialogs: int
) -> None:
    # Chromium 156 refuses to print a page whose dialog is open
    counting = "window.dialogs = 0; window.print = () => { window.dialogs += 1; };"
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=counting)
    browser.open(report.as_uri() + query)
    assert browser.run("window.dialogs") == dialogs
    printed = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) <= 4


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overflows_at_any_width(browser: Any, report: Path, width: int) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=True)
    browser.open(report.as_uri())
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_dark_mode_and_print_have_their_own_colours(browser: Any, report: Path) -> None:
    browser.open(report.as_uri())
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.call("Emulation.setEmulatedMedia", features=dark)
    assert browser.run(colour) == "rgb(20, 24, 22)"
    browser.call("Emulation.setEmulatedMedia", media="print", features=dark)
    assert browser.run(colour) == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.getElementById('filters')).display") == "none"
