"""Secrets in addresses are refused in settings and shown nowhere."""

import re

import pytest

from tasks.errors import ConfigError
from tasks.secret_addresses import PLAIN_ADDRESS, require_no_secret, resolved, scrubbed, without_secrets

PLAIN = (
    *("/data/b.zip", "part1.zip", "~/x@y?.zip", "C:\\data\\x.zip", "file:///x/y.zip", "s3://bucket/key"),
    *("https://host/a.zip", "https://host:8080/a.zip#sha256=ab12", "https://host/a?download=1", "https://host/a?raw"),
    *("https://user:${PASSWORD}@host/a", "https://${TOKEN}@host/a", "https://host/a?token=${TOKEN}", "${ADDRESS}"),
    *("https://host/a?id=3&sig=${SIGNATURE}#md5=00", "https://host/a?${QUERY}", "https://host/${TOKEN}/a.zip"),
    *("hf://datasets/OWNER/NAME@main/f.zip", "https://drive.google.com/file/d/x/view?usp=sharing"),
    "https://dataverse.org/api?persistentId=doi:10.1/XX",
)
SECRET = (
    *("https://user:s3cret@host/a.zip", "https://s3cret@host/a", "HTTPS://user:s3cret@host/a", "https:/h?t=s3cret"),
    *("https://host/a?token=s3cret", "https://host/a?X-Amz-Signature=s3cret", "https://host/a?id=3&sig=s3cret"),
    *(
        "https://host/a?s3cret",
        "https://host?sig=s3cret",
        "https://host/a?sv=1&se=2&sig=s3cret",
        "http:s3cret@host",
        "https:/user:s3cret@host/a",
    ),
    *("https://user:s3cret${X}@host/a", "https://user:${X}s3cret@host/a", "https://host/a?token=s3cret${X}"),
    *("https://mega.nz/#!id!s3cret", "https://host/a#s3cret", "https://host/a?authkey=s3cret", "s3://key:s3cret@b/k"),
    *("ftp://user:s3cret@host/a", "https://user%3As3cret@host/", "https://host/a?Policy=x&Key-Pair-Id=s3cret"),
)


@pytest.mark.parametrize("address", PLAIN)
def test_require_no_secret_accepts_plain_addresses(address):
    assert require_no_secret(address) == address


@pytest.mark.parametrize("address", SECRET)
def test_require_no_secret_refuses_a_secret_and_does_not_show_it(address):
    with pytest.raises(ValueError, match="environment variable") as refused:
        require_no_secret(address)
    assert "s3cret" not in str(refused.value)
    assert not re.search(PLAIN_ADDRESS, address)


def test_resolved_reads_references_from_the_environment():
    environment = {"USER_1": "me", "TOKEN": "a/b"}
    assert resolved("https://${USER_1}@host/a?t=${TOKEN}", environment) == "https://me@host/a?t=a/b"
    for missing in ({}, {"TOKEN": ""}):
        with pytest.raises(ConfigError, match="set the environment variable TOKEN"):
            resolved("https://host/a?t=${TOKEN}", missing)


def test_without_secrets_removes_login_query_and_fragment():
    assert without_secrets("https://user:pass@host:8080/a.zip?sig=secret#x") == "https://host:8080/a.zip"
    assert without_secrets("/data/a?b#c.zip") == "/data/a?b#c.zip"
    assert without_secrets("https://[::1/a?sig=secret") == "the address"


def test_scrubbed_removes_secrets_from_addresses_in_a_text():
    said = "GET 'https://user:pass@host/a?sig=secret' led to s3://key:pass@b/k, and then to 2 errors"
    assert scrubbed(said) == "GET 'https://host/a' led to s3://b/k, and then to 2 errors"
