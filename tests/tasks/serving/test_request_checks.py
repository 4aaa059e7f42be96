import pytest

from tasks.serving.request_checks import BadRequestError, Endpoint, inputs_for, name_in, parse_object

ASK = Endpoint(11, "ask", True, ["image", "plain", "plain", "plain", "plain", "plain"])
PASSWD = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
OWN = {"path": "own", "url": "http://127.0.0.1/", "is_stream": True}
DATA = [OWN, "Where?", [["Is it?", "yes"]], "model", 0, 5]


def checked(*, endpoint=ASK, **changes):
    sent = [changes.get(f"at{place}", value) for place, value in enumerate(DATA)]
    return inputs_for(endpoint, {"data": sent}, lambda path: path == "own")


def test_only_the_path_of_an_image_is_passed_on():
    assert checked() == [{"path": "own", "meta": {"_type": "gradio.FileData"}}, *DATA[1:]]


@pytest.mark.parametrize("place", range(1, 6))
@pytest.mark.parametrize(
    "value", [PASSWD, OWN, {}, [PASSWD], [[[PASSWD]]], {"url": "http://evil.example/"}, [["a", {}]]]
)
def test_only_the_image_may_be_a_file(place, value):
    with pytest.raises(BadRequestError, match="Only the image"):
        checked(**{f"at{place}": value})


@pytest.mark.parametrize(
    "value",
    [PASSWD, "own", ["own"], {}, {"path": None}, {"path": ["own"]}, {"path": "./own"}, {"path": {"path": "own"}}, 1,
     {"path": "http://evil.example/a.png"}, {"path": "file:///etc/passwd"}, {"url": "own"}, [OWN], True],
)  # fmt: skip
def test_an_image_must_be_an_own_upload(value):
    with pytest.raises(BadRequestError, match="not one of your uploads"):
        checked(at0=value)


def test_the_state_cannot_be_sent():
    assert inputs_for(Endpoint(1, None, False, ["image", "state"]), {"data": [None, PASSWD]}, bool) == [None, None]


@pytest.mark.parametrize(
    "sent", [{}, {"data": None}, {"data": []}, {"data": DATA[:5]}, {"data": {"0": 1}}, {"data": "abcdef"}]
)
def test_a_wrong_number_of_values_is_refused(sent):
    with pytest.raises(BadRequestError, match="not a list of 6"):
        inputs_for(ASK, sent, bool)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"1", b"{", b"\xff", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": "\\ud800"}',
     b'{"a": ' + b"9" * 5000 + b"}", b'{"a": ' + b"9" * 400 + b"}",
     b'{"a": ' + b"[" * 100_000, b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}"],
)  # fmt: skip
def test_a_body_that_is_not_a_plain_json_object_is_refused(body):
    with pytest.raises(BadRequestError):
        parse_object(body)


@pytest.mark.parametrize("value", [None, 1, "", "a" * 65, "a/b", "a b", "ä", ["a"], {"a": 1}, "a\n"])
def test_a_session_name_with_other_characters_is_refused(value):
    with pytest.raises(BadRequestError, match="session_hash"):
        name_in({"session_hash": value}, "session_hash")
