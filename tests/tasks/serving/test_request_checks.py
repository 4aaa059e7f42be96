import pytest

from tasks.serving.request_checks import BadRequestError, Endpoint, data_for, name_in, object_in

ASK = Endpoint(11, "ask", True, ["image", "plain", "plain", "plain", "plain", "plain"])
PASSWD = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
OWN = {"path": "own", "url": "http://127.0.0.1/", "is_stream": True}
DATA = [OWN, "Where?", [["Is it?", "yes"]], "model", 0, 5]


def data(*, endpoint=ASK, **changes):
    sent = [changes.get(f"at{place}", value) for place, value in enumerate(DATA)]
    return data_for(endpoint, {"data": sent}, lambda path: path == "own")


def test_an_own_image_is_all_that_is_taken_of_an_image():
    assert data() == [{"path": "own", "meta": {"_type": "gradio.FileData"}}, *DATA[1:]]


@pytest.mark.parametrize("place", range(1, 6))
@pytest.mark.parametrize(
    "value", [PASSWD, OWN, {}, [PASSWD], [[[PASSWD]]], {"url": "http://evil.example/"}, [["a", {}]]]
)
def test_no_field_but_the_image_takes_a_file(place, value):
    with pytest.raises(BadRequestError, match="Only the image"):
        data(**{f"at{place}": value})


@pytest.mark.parametrize(
    "value",
    [PASSWD, "own", ["own"], {}, {"path": None}, {"path": ["own"]}, {"path": "./own"}, {"path": {"path": "own"}}, 1,
     {"path": "http://evil.example/a.png"}, {"path": "file:///etc/passwd"}, {"url": "own"}, [OWN], True],
)  # fmt: skip
def test_an_image_is_an_upload_of_ones_own(value):
    with pytest.raises(BadRequestError, match="none of your uploads"):
        data(at0=value)


def test_what_the_server_keeps_is_not_sent_to_it():
    assert data_for(Endpoint(1, None, False, ["image", "state"]), {"data": [None, PASSWD]}, bool) == [None, None]


@pytest.mark.parametrize(
    "sent", [{}, {"data": None}, {"data": []}, {"data": DATA[:5]}, {"data": {"0": 1}}, {"data": "abcdef"}]
)
def test_too_few_values_and_too_many_are_refused(sent):
    with pytest.raises(BadRequestError, match="no list of 6"):
        data_for(ASK, sent, bool)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"1", b"{", b"\xff", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": "\\ud800"}',
     b'{"a": ' + b"9" * 5000 + b"}", b'{"a": ' + b"9" * 400 + b"}",
     b'{"a": ' + b"[" * 100_000, b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}"],
)  # fmt: skip
def test_what_is_no_plain_json_is_refused(body):
    with pytest.raises(BadRequestError):
        object_in(body)


@pytest.mark.parametrize("value", [None, 1, "", "a" * 65, "a/b", "a b", "ä", ["a"], {"a": 1}, "a\n"])
def test_a_session_has_a_plain_name(value):
    with pytest.raises(BadRequestError, match="session_hash"):
        name_in({"session_hash": value}, "session_hash")
