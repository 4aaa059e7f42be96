import pytest

from tasks.serving.hosts import Hosts


def refusal(hosts, host="127.0.0.1:7860", **headers):
    given = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return hosts.reason_to_refuse([(name.encode(), value.encode()) for name, value in given.items()])


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "localhost:8000"])
def test_loopback_names_are_accepted_with_any_port(host):
    assert refusal(Hosts("127.0.0.1"), host) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.", "127.0.0.1@evil.example", "",
     "192.0.2.1", "localhost:port", "[::1", "localhost/x", "evil.example#localhost", "127.1"],
)  # fmt: skip
def test_a_name_that_others_can_resolve_is_refused(host):
    assert "--allow-host" in refusal(Hosts("127.0.0.1"), host)


def test_two_host_headers_and_none_are_refused():
    hosts = Hosts("127.0.0.1")
    assert hosts.reason_to_refuse([]) and hosts.reason_to_refuse([(b"host", b"localhost"), (b"host", b"evil.example")])


def test_the_listening_address_and_allowed_names_are_accepted():
    hosts = Hosts("192.0.2.1", ["page.example", "other.example:8443"])
    for host in ("192.0.2.1:7860", "page.example", "page.example:7860", "other.example:8443"):
        assert refusal(hosts, host) is None


@pytest.mark.parametrize(
    ("host", "accepted"), [("192.0.2.7:7860", True), ("[2001:db8::1]", True), ("evil.example", False)]
)
def test_listening_on_all_addresses_accepts_addresses_but_not_other_names(host, accepted):
    assert (refusal(Hosts("0.0.0.0"), host) is None) == accepted


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:8888", "http://localhost:7860", "http://127.0.0.1:7860.evil.example",
     "file://127.0.0.1:7860", "127.0.0.1:7860", "http://page.example:81"],
)  # fmt: skip
def test_requests_of_another_web_site_are_refused(origin):
    assert "web site" in refusal(Hosts("127.0.0.1", ["page.example"]), origin=origin)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:7860", "https://127.0.0.1:7860", "https://page.example"])
def test_requests_of_the_page_and_of_allowed_names_are_accepted(origin):
    assert refusal(Hosts("127.0.0.1", ["page.example"]), origin=origin) is None


@pytest.mark.parametrize(
    ("site", "mode", "accepted"),
    [("cross-site", "no-cors", False), ("same-site", "cors", False), ("cross-site", "navigate", True),
     ("same-origin", "cors", True), ("none", "navigate", True)],
)  # fmt: skip
def test_another_site_may_link_here_but_not_embed(site, mode, accepted):
    assert (refusal(Hosts("127.0.0.1"), sec_fetch_site=site, sec_fetch_mode=mode) is None) == accepted
