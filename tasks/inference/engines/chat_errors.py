"""What a server's response means: an answer, a failure that may pass, a refused question, or the end of the run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from tasks.errors import ConfigError, DataError, UserError
from tasks.inference.engines.api_key import OWN, without_key
from tasks.inference.engines.chat_replies import WITHHELD, Reply, parse_reply
from tasks.json_text import decode_json

TEMPORARY = (408, 409, 429)
# about one question: its image or its length
REFUSED = (400, 413, 422)
# no money left: asking again costs time only
UNPAID = ("insufficient_quota", "billing_hard_limit_reached")
KEPT = "the answers so far are kept, so run the same command again then"


class QuestionRefused(DataError):
    """A server does not answer one question; others may be answered."""


@dataclass(frozen=True)
class Failure:
    """A request without an answer that may succeed later; `wait_s` is the pause in seconds that the server asks for."""

    reason: str
    wait_s: float | None = None


@dataclass(frozen=True)
class Endpoint:
    """A server and a model on it; the key is never shown."""

    base_url: str
    model: str
    key: str | None = field(default=None, repr=False)

    @property
    def chat_url(self) -> str:
        """The URL that questions are sent to."""
        return f"{self.base_url.rstrip('/')}/chat/completions"

    @property
    def models_url(self) -> str:
        """The URL that lists the server's models."""
        return f"{self.base_url.rstrip('/')}/models"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request; they hold the key."""
        return {"User-Agent": "rsvlm", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}

    def shown(self, text: str) -> str:
        """A text from outside for a message: on one line, shortened, without secrets."""
        return without_key(text, self.key)


def outcome_of(
    endpoint: Endpoint, status: int, headers: Mapping[str, str], content: bytes, now_s: float
) -> Reply | Failure:
    """The meaning of a response; `now_s` is the time in seconds since 1970, and names of `headers` are in lower case.

    Raises QuestionRefused if only this question is refused, and ConfigError or UserError if all would be.
    """
    if status == HTTPStatus.OK:
        try:
            return parse_reply(content)
        except ValueError:
            said = _message(content)
            return Failure(f"a response that is no chat completion{_quoted(endpoint, said)}")
    said, code = _message(content), _code(content)
    if WITHHELD in code and status in REFUSED:
        return Reply("", finish=WITHHELD)
    reason = f"status {status}{_quoted(endpoint, said)}"
    if status == HTTPStatus.PAYMENT_REQUIRED or any(name in code for name in UNPAID):
        raise UserError(f"{endpoint.base_url} wants to be paid first ({reason}): add credit; {KEPT}.")
    if status in TEMPORARY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Failure(reason, retry_after(headers, now_s))
    if status in REFUSED:
        raise QuestionRefused(f"{endpoint.model} refuses it ({reason})")
    raise ConfigError(_final(endpoint, status, headers, reason))


def retry_after(headers: Mapping[str, str], now_s: float) -> float | None:
    """The seconds that a server asks to wait, as a number or a date; None if it does not, or not readably."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            return max(0.0, float(text) * unit_s)
        except ValueError:
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None


def _final(endpoint: Endpoint, status: int, headers: Mapping[str, str], reason: str) -> str:
    """The sentence that ends a run."""
    server, model = endpoint.base_url, endpoint.model
    if status == HTTPStatus.UNAUTHORIZED:
        # no quotation: messages about a wrong key repeat parts of it
        given = "does not accept the key" if endpoint.key else "needs a key"
        return f"{server} {given} (status 401): set the environment variable {OWN}."
    if status == HTTPStatus.FORBIDDEN:
        return f"{server} does not allow this key to use {model} ({reason}): ask its owner, or use another key."
    if status == HTTPStatus.NOT_FOUND:
        return (
            f"{server} has no chat completions of {model} ({reason}): set inference.api.model to a name that the "
            "server lists under /models, and inference.api.base_url to its address, which often ends with /v1."
        )
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        target = endpoint.shown(headers.get("location", "another address"))
        return f"{server} redirects to {target}: set inference.api.base_url to the final address."
    return f"{server} cannot be asked for chat completions ({reason}): check inference.api.base_url."


def _quoted(endpoint: Endpoint, said: str) -> str:
    return f": {endpoint.shown(said)}" if said.strip() else ""


def _error_of(content: bytes) -> Any:
    """The error in a body, in the forms of OpenAI, vLLM, TGI and FastAPI; None if it is no such JSON."""
    try:
        value = decode_json(content)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    return value.get("error") or value.get("detail") or value


def _message(content: bytes) -> str:
    error = _error_of(content)
    if isinstance(error, dict):
        return str(error.get("message") or "")
    return error if isinstance(error, str) else ""


def _code(content: bytes) -> str:
    """Code and type of an error; of Azure also the inner code."""
    error = _error_of(content)
    return " ".join(str(error.get(name) or "") for name in ("code", "type")) if isinstance(error, dict) else ""
