"""What is done after a response of each status."""

import pytest

from tasks.data.fetching.http_responses import action_for

URL = "https://example.org/a.zip"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_fault_that_may_pass_is_tried_again(status: int) -> None:
    assert action_for(status, {}, URL, None, 0).step == "retry"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501, 505])
def test_any_other_refuses_the_address(status: int) -> None:
    assert action_for(status, {}, URL, None, 0).step == "refused"
