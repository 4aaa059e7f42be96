"""What the page's server gives out and runs, over all its paths and functions, with and without a login."""

import itertools
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from PIL import Image
from support.locations import REPO, SUPPORT

SCRIPT = SUPPORT / "served_page.py"
pytestmark = pytest.mark.slow
SECRET = "nobody may read this"
API = "/gradio_api"
BODY = {"session_hash": "abc"}


class Served:
    """A page in its own process, with Gradio's paths and the number of steps that its model has made."""

    def __init__(self, started, folder, login):
        self.address, self.routes = (
            started["address"],
            sorted({re.sub(r"{[^}]*}", "1", path) for path in started["routes"]}),
        )
        self.folder, self.login = folder, login

    @property
    def steps(self):
        steps = self.folder / "steps"
        return steps.stat().st_size if steps.exists() else 0

    @contextmanager
    def visitor(self, logs_in=True):
        import httpx

        with httpx.Client(base_url=self.address, timeout=60) as visitor:
            visitor.get("/")
            if self.login and logs_in:
                form = dict(zip(("username", "password"), self.login.split(":"), strict=True))
                assert visitor.post("/login", data=form).status_code == 200
            yield visitor


@pytest.fixture(scope="module", params=["", "ana:secret"], ids=["open", "login"])
def served(request, lively_model_dir, tmp_path_factory):
    import json

    folder = tmp_path_factory.mktemp("served")
    command = [sys.executable, str(SCRIPT), str(lively_model_dir), str(folder), request.param, "2"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            yield Served(json.loads(process.stdout.readline()), folder, request.param)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in (folder / "log").read_text()


@pytest.fixture
def visitor(served):
    with served.visitor() as visitor:
        yield visitor


@pytest.fixture
def secret(tmp_path):
    """A file in the folder for temporary files, which Gradio itself would give out."""
    (tmp_path / "secret.png").write_text(SECRET)
    return str(tmp_path / "secret.png")


def uploaded(visitor, content=None):
    import io

    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(picture, format="PNG")
    answer = visitor.post(f"{API}/upload", files={"files": ("red.png", content or picture.getvalue())})
    assert answer.status_code == 200
    return answer.json()[0]


def image(path):
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def file_inputs(path, own):
    """Inputs that name a file of the server."""
    meta = {"_type": "gradio.FileData"}
    yield from ({"path": path, "meta": meta}, {"path": path}, {"path": own, "url": f"file://{path}", "meta": meta})
    yield from ({"path": path, "meta": meta, "is_stream": True}, [{"path": path, "meta": meta}], {"a": [image(path)]})
    yield from ({"__type__": "update", "value": image(path)}, {"value": image(path)}, {"image": image(path)})
    yield from ({"path": f"{own}/../../../{path}", "meta": meta}, {"path": "http://127.0.0.1:1/a.png", "meta": meta})
    yield from ({"path": None, "url": path, "meta": meta}, {"path": [path], "meta": meta})


def response_to(visitor, path, body):
    """The response to a request, with the stream of its events."""
    answer = visitor.post(f"{API}/{path}", json=body)
    assert answer.status_code < 500, (path, body, answer.text)
    text = answer.text
    if answer.status_code == 200 and (found := re.search(r'"event_id":\s*"(\w+)"', text)):
        data = f"queue/data?session_hash={body['session_hash']}" if "join" in path else f"call/ask/{found[1]}"
        text += visitor.get(f"{API}/{data}").text
    return text


VALID = {"image": None, "textbox": "Where?", "json": None, "radio": "model", "checkbox": True, "state": None}


def calls(visitor):
    """Each function by each path that runs functions, with valid inputs."""
    page = visitor.get("/config").json()
    kinds = {component["id"]: component["type"] for component in page["components"]}
    for function in page["dependencies"]:
        data = [VALID.get(kinds[field], 1) for field in function["inputs"]]
        name = function["api_name"]
        for path in ("queue/join", "run/predict", f"run/{name}", f"api/{name}", f"call/{name}"):
            yield path, {"data": data, "fn_index": function["id"], **BODY}
        yield f"call/v2/{name}", {"data": {"image": None}, **BODY}


def test_no_input_of_any_function_returns_a_file(served, visitor, secret):
    tried, own = 0, uploaded(visitor)
    for path, body in calls(visitor):
        for place, file in itertools.product(
            body["data"] if "v2" in path else range(len(body["data"])), file_inputs(secret, own)
        ):
            data = body["data"].copy()
            data[place] = file
            tried += 1
            text = response_to(visitor, path, {**body, "data": data, "image": file, "event_data": file})
            assert SECRET not in text
            for given in re.findall(r'"path":\s*"([^"]+)"', text):
                assert SECRET not in visitor.get(f"{API}/file={given}").text
    assert tried > 1000
    copies = [path for path in (served.folder / "files").rglob("*") if path.is_file()]
    assert all(SECRET.encode() not in path.read_bytes() for path in copies)


PLACES = ("/etc/passwd", "/proc/self/environ", "/proc/self/../self/environ", "//etc/passwd", "%2fetc%2fpasswd", "")


@pytest.mark.parametrize("route", ["file=", "file/", "proxy=", "proxy=http://127.0.0.1/", "stream/", "static/"])
def test_no_path_returns_a_file_of_the_server(served, visitor, secret, route):
    for place in (
        *PLACES,
        secret,
        f"file://{secret}",
        f"{uploaded(visitor)}/../../../../{secret}",
        "http://127.0.0.1:1",
    ):
        for address in (f"{API}/{route}{place}", f"/{route}{place}", f"{API}/{route}..%2f..%2f..%2f{place}"):
            answer = visitor.get(address, follow_redirects=False)
            assert 400 <= answer.status_code < 500, address
            assert SECRET not in answer.text and "root:x:" not in answer.text


def test_an_upload_is_accessible_to_its_visitor_only(served, visitor):
    own = uploaded(visitor, SECRET.encode())
    assert visitor.get(f"{API}/file={own}").text == SECRET
    with served.visitor() as other:
        assert other.get(f"{API}/file={own}").status_code == 403
        body = {"data": [image(own), "What?", None, "model", 0, 4], **BODY}
        assert other.post(f"{API}/call/ask", json=body).status_code == 422
    # a visitor header sent by a client is ignored
    header = {"x-rsvlm-visitor": visitor.cookies["rsvlm-visitor"]}
    with served.visitor() as other:
        assert other.get(f"{API}/file={own}", headers=header).status_code == 403


def test_examples_are_accessible_to_all(served, visitor):
    given = re.findall(r'"path":\s*"([^"]+example.png)"', visitor.get("/config").text)
    assert given and visitor.get(f"{API}/file={given[0]}").status_code == 200


def test_an_uploaded_image_is_shown_with_its_type(visitor):
    answer = visitor.get(f"{API}/file={uploaded(visitor)}")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"].startswith("inline")


@pytest.mark.parametrize("kind", ["html", "svg", "js"])
def test_an_upload_that_is_not_an_image_is_a_download(visitor, kind):
    path = visitor.post(f"{API}/upload", files={"files": (f"a.{kind}", b"<script>")}).json()[0]
    answer = visitor.get(f"{API}/file={path}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_gradios_other_paths_are_not_found(served, visitor):
    for method, route in itertools.product(("GET", "POST", "PUT"), served.routes):
        if "component_server" in route or re.search("vibe|deep|stream|monitor|token|reload|runs|pwa|process", route):
            assert visitor.request(method, route).status_code == 404, route


def test_without_the_login_nothing_can_be_called(served):
    if not served.login:
        return
    with served.visitor(logs_in=False) as visitor:
        for method, route in itertools.product(("GET", "POST"), served.routes):
            if route.startswith(API) and not re.search("login_check|app_id|theme", route):
                assert visitor.request(method, route).status_code == 401, route
        assert visitor.get("/config").status_code == 401


@pytest.mark.parametrize("value", [None, "0", "nan", True, [0], -1, 10**40])
@pytest.mark.parametrize("place", [4, 5])
def test_an_invalid_number_is_refused_with_a_sentence(visitor, value, place):
    data = [image(uploaded(visitor)), "What?", None, "model", 0, 4]
    data[place] = value
    assert "give a number from" in response_to(visitor, "call/ask", {"data": data})


@pytest.mark.parametrize(
    "earlier",
    [[["word " * 1000, "yes"]] * 8, [["", ""]] * 201, [["a", "b" * 32_000]]],
)
def test_too_many_earlier_rounds_are_refused_before_the_model_runs(served, visitor, earlier):
    data = [image(uploaded(visitor)), "What?", earlier, "model", 0, 4]
    before = served.steps
    assert "start over" in response_to(visitor, "call/ask", {"data": data})
    assert served.steps == before


def has_stopped(served):
    """Whether the model stops within 30 seconds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        before = served.steps
        time.sleep(0.5)
        if served.steps == before:
            return True
    return False


def test_an_answer_is_cancelled_when_its_visitor_leaves(served, visitor):
    data = [image(uploaded(visitor)), "What?", None, "model", 2, 1000]
    before = served.steps
    event = visitor.post(f"{API}/call/ask", json={"data": data}).json()["event_id"]
    with visitor.stream("GET", f"{API}/call/ask/{event}") as answer:
        next(answer.iter_raw())
    assert has_stopped(served) and served.steps - before < 500


def test_an_answer_without_a_listener_is_cancelled(served, visitor):
    data = [image(uploaded(visitor)), "What?", None, "model", 2, 1000]
    before = served.steps
    event = visitor.post(f"{API}/call/ask", json={"data": data}).json()["event_id"]
    assert has_stopped(served) and served.steps - before < 500
    # nothing of it is kept
    assert visitor.get(f"{API}/call/ask/{event}").status_code == 404


def test_a_logout_leaves_other_visitors_logged_in(served, visitor):
    with served.visitor() as other:
        other.get("/logout")
        assert visitor.get("/config").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"},
     {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}],
)  # fmt: skip
def test_another_web_site_cannot_use_a_visitors_cookies(visitor, headers):
    own = uploaded(visitor)
    for method, path in (
        ("GET", "/config"),
        ("GET", f"{API}/file={own}"),
        ("POST", f"{API}/queue/join"),
        ("POST", "/login"),
    ):
        assert visitor.request(method, path, headers=headers).status_code == 403
