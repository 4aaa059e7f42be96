"""The login in front of the runs leads back to a path of its own server only."""

import pytest

from tasks.runs.login_gate import own_path


@pytest.mark.parametrize("address", ["/", "/runs/a", "/compare?run=a&run=b"])
def test_a_path_of_the_server_is_kept(address: str) -> None:
    assert own_path(address) == address


@pytest.mark.parametrize("address", ["", "runs", "//evil.example", "/\\evil.example", "http://evil.example", "/a\r\nb"])
def test_any_other_address_leads_to_the_first_page(address: str) -> None:
    assert own_path(address) == "/"
