"""The page and its API in a real server process, and in a real browser."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from PIL import Image
from support.locations import REPO
from support.served_pair import client, cookies, serve, server, stderr, visitor

from tasks.inference.engines.decoding import Decoding
from tasks.serving.conversation import Conversation
from tasks.serving.models import load_served_models

__all__ = ["client", "cookies", "server", "stderr", "visitor"]


@pytest.fixture
def image(tmp_path):
    gradient = Image.linear_gradient("L").resize((60, 48))
    Image.merge("RGB", [gradient, gradient.rotate(90), gradient]).save(tmp_path / "harbor.tif")
    return tmp_path / "harbor.tif"


def ask(client, image, question="Is there a road?", **options):
    from gradio_client import handle_file

    given = {"earlier": None, "temperature": 0, "max_new_tokens": 6, "model": "tuned", **options}
    return client.predict(image=handle_file(str(image)), question=question, api_name="/ask", **given)


def refused(client, *arguments, **options):
    from gradio_client.exceptions import AppError

    with pytest.raises((AppError, ValueError)) as error:
        ask(client, *arguments, **options)
    return str(error.value)


@pytest.mark.slow
def test_base_and_tuned_model_answer_as_in_a_conversation(client, image, tuned_pair):
    earlier = [["Is it rural?", "no"]]
    for model in load_served_models(*tuned_pair):
        expected = "".join(Conversation(model, image, Decoding(6), rounds=[("Is it rural?", "no")]).ask("Where?"))
        assert ask(client, image, "Where?", earlier=earlier, model=model.name) == expected


@pytest.mark.slow
def test_answers_are_streamed(client, image):
    from gradio_client import handle_file

    job = client.submit(
        image=handle_file(str(image)), question="Where?", earlier=None, model="base", temperature=0,
        max_new_tokens=6, api_name="/ask",
    )  # fmt: skip
    job.result(timeout=120)
    assert len(job.outputs()) > 2


@pytest.mark.slow
def test_a_bad_request_is_refused_with_a_reason_and_affects_no_other(client, image, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG broken")
    Image.new("1", (10_000, 6_000)).save(tmp_path / "large.png")
    good = ask(client, image)
    assert "broken.png is not a readable image" in refused(client, tmp_path / "broken.png")
    assert "10,000 x 6,000 pixels" in refused(client, tmp_path / "large.png")
    assert "100,000 characters" in refused(client, image, "a" * 100_000)
    assert "tokens" in refused(client, image, "why " * 1999)
    assert "earlier is not a list" in refused(client, image, earlier=[["half"]])
    assert "not one of your uploads" in refused(client, "http://127.0.0.1:1/x.png")
    assert "is not in the list" in refused(client, image, model="other")
    assert ask(client, image) == good


@pytest.mark.slow
@pytest.mark.parametrize("place", ["http://127.0.0.1:1/a.png", "/etc/hostname"])
def test_the_server_accepts_neither_urls_nor_its_own_files(server, visitor, place):
    """Without Gradio's client, which would upload the file."""
    import json

    data = [{"path": place, "meta": {"_type": "gradio.FileData"}}, "What?", None, "base", 0, 5]
    call = urllib.request.Request(f"{server}/gradio_api/call/ask", json.dumps({"data": data}).encode())
    call.add_header("content-type", "application/json")
    try:
        with visitor.open(call, timeout=60) as response:
            number = json.load(response)["event_id"]
        with visitor.open(f"{server}/gradio_api/call/ask/{number}", timeout=60) as response:
            assert b"event: error" in response.read()
    except urllib.error.HTTPError as error:
        assert error.code in (403, 422, 500)
        error.close()


@pytest.mark.slow
def test_an_upload_that_is_too_large_is_refused(server):
    request = urllib.request.Request(f"{server}/gradio_api/upload", b"0" * 33_500_000)
    request.add_header("content-type", "multipart/form-data; boundary=x")
    # refused by its length, or the connection is closed while the rest is still being sent
    with pytest.raises(urllib.error.URLError) as error:
        urllib.request.urlopen(request, timeout=60)
    if isinstance(error.value, urllib.error.HTTPError):
        assert error.value.code == 413
        error.value.close()


ANSWERS = "[...document.querySelectorAll('.chat [data-testid=bot]')].map(one => one.innerText.trim())"
ASKED = "[...document.querySelectorAll('.chat [data-testid=user]')].map(one => one.innerText.trim()).join()"
# the button of the question box sends and does not stop
READY = "document.querySelector('#question .submit-button') && !document.querySelector('#question .stop-button')"
STOP = "document.querySelector('#question .stop-button')"
START_OVER = "[...document.querySelectorAll('button')].find(one => one.innerText.trim() == 'Start over')"
LATENCY_MS = 300


@pytest.fixture
def page(browser, server, cookies):
    """The page over a slow network, where a visitor's actions overtake responses."""
    held = [{"name": cookie.name, "value": cookie.value, "url": server} for cookie in cookies]
    browser.call("Network.setCookies", cookies=held)
    browser.call("Page.navigate", url=server)
    for element in ("#question textarea", "#image input[type=file]"):
        browser.wait_for(f"document.querySelector('{element}')")
    browser.call(
        "Network.emulateNetworkConditions",
        offline=False, latency=LATENCY_MS, downloadThroughput=-1, uploadThroughput=-1,
    )  # fmt: skip
    return browser


@pytest.mark.slow
def test_in_a_browser_an_image_is_uploaded_and_two_models_answer(page, server, image):
    page.upload("#image input[type=file]", image)
    # a TIFF, which browsers cannot show
    page.wait_for("document.querySelector('#image img')?.naturalWidth > 0")
    page.write("#question textarea", "Is there a road?")
    page.wait_for(f"{ANSWERS}.length == 2 && {ANSWERS}.every(text => text.length > 3)")
    page.wait_for(READY)
    page.write("#question textarea", "Where?")
    page.wait_for(f"{ANSWERS}.length == 4 && {ANSWERS}.every(text => text.length > 3)")
    page.wait_for(READY)
    shown = page.run("document.body.innerText")
    assert all(text in shown for text in ("Base model: tiny-llava", "Tuned model: checkpoint-300"))
    assert page.run(ASKED) == ",".join(["Is there a road?", "Where?"] * 2)
    foreign = [url for url in page.requests if not url.startswith((server, "data:", "blob:", "about:"))]
    assert (page.errors, foreign) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_the_question_is_under_the_image_and_the_tuned_model_comes_first(page, width):
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600)
    names = ["#image", "#question", "#answers", "#more"] if width < 600 else ["#image", "#question", "#more"]
    tops = page.run(f"{names}.map(name => document.querySelector(name).getBoundingClientRect().top)")
    assert tops == sorted(tops) and tops[1] < 700
    titles = page.run("[...document.querySelectorAll('.chat label')].map(one => one.innerText.trim())")
    assert titles == ["Tuned model: checkpoint-300", "Base model: tiny-llava"]
    assert page.run("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_in_a_browser_a_suggested_question_is_asked_and_the_conversation_saved(page, image, tmp_path):
    page.upload("#image input[type=file]", image)
    page.wait_for("document.querySelector('#image img')?.naturalWidth > 0")
    assert not page.run("document.querySelector('#save-json')")
    page.run("document.querySelectorAll('#suggestions .gallery-item')[1].click()")
    page.wait_for(f"{ANSWERS}.length == 2 && {ANSWERS}.every(text => text.length > 3)")
    page.wait_for(f"{READY} && document.querySelector('#save-json')")
    page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.run("document.querySelector('#save-json').click()")
    saved, end = tmp_path / "conversation.json", time.monotonic() + 60
    while not saved.exists():
        assert time.monotonic() < end, page.errors
        page.run("new Promise(done => setTimeout(done, 100))")
    found = json.loads(saved.read_text())
    assert (found["image"], found["models"]["base"]) == ("harbor.tif", "tiny-llava")
    assert [each["question"] for each in found["rounds"]] == [page.run(ASKED).split(",")[0]] == ["Is there a road?"]
    assert page.errors == []


@pytest.mark.slow
def test_in_a_browser_starting_over_leaves_nothing_of_a_running_answer(page, image):
    page.upload("#image input[type=file]", image)
    page.wait_for("document.querySelector('#image img')?.naturalWidth > 0")
    page.write("#question textarea", "Is there a road?")
    page.wait_for(f"{STOP} && {ANSWERS}.some(text => text.length > 3)")
    page.run(f"{START_OVER}.click()")
    page.wait_for(f"{READY} && {ASKED} == ''")
    page.write("#question textarea", "Where?")
    page.wait_for(f"{ASKED} == 'Where?,Where?' && {ANSWERS}.every(text => text.length > 3)")
    page.wait_for(READY)
    assert page.run(ASKED) == "Where?,Where?"
    assert page.errors == []


@pytest.mark.slow
def test_in_a_browser_a_long_question_about_an_example_is_refused_with_a_sentence(page):
    page.write("#question textarea", "Is there a road?")
    page.wait_for("document.body.innerText.includes('upload one first')")
    page.run("document.querySelectorAll('#more .gallery-item')[0].click()")
    page.wait_for("document.querySelector('#image img')?.naturalWidth > 0")
    page.run("document.querySelector('#question textarea').select()")
    page.write("#question textarea", "why " * 1999)
    page.wait_for("/has [0-9]+ tokens/.test(document.body.innerText)")
    # it can be corrected
    page.wait_for(f"{READY} && document.querySelector('#question textarea').value.length > 7000")
    assert page.errors == []


@pytest.mark.slow
def test_the_page_needs_the_login(server, visitor):
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{server}/config", timeout=60)
    assert error.value.code == 401
    error.value.close()
    with visitor.open(f"{server}/config", timeout=60) as response:
        assert response.status == 200


@pytest.mark.slow
def test_the_page_needs_no_prefect(client, stderr):
    imported = {line.split("|")[-1].strip().split(".")[0] for line in stderr.read_text().split("\n") if "|" in line}
    assert {"torch", "gradio"} <= imported and "prefect" not in imported


def ended(*arguments):
    with serve(*arguments) as process:
        output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def test_a_directory_without_a_model_ends_with_2(tmp_path):
    code, output, errors = ended("--model", tmp_path, "--port", 0)
    assert (code, output) == (2, "") and re.fullmatch(r"error: .*holds no config.json.*\n", errors)


def test_a_taken_port_ends_with_2_before_a_model_is_loaded(tmp_path):
    from tasks.serving.http_server import bind_socket

    with bind_socket("127.0.0.1", 0) as taken:
        code, output, errors = ended("--model", tmp_path, "--port", taken.getsockname()[1])
    assert (code, output) == (2, "") and "is taken by another program" in errors


def test_listening_on_all_addresses_without_a_login_prints_a_warning(tmp_path):
    _, _, errors = ended("--model", tmp_path, "--host", "0.0.0.0", "--port", 0)
    assert errors.startswith("warning: whoever reaches port 0")


@pytest.mark.slow
def test_mutated_requests_neither_break_the_server_nor_reveal_files():
    program = REPO / "tests/benchmarks/serving_fuzz.py"
    ended = subprocess.run(
        [sys.executable, str(program), "--requests", "300"], capture_output=True, text=True, timeout=400, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
