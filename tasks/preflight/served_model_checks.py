"""Check the server of a served model: it can be reached, accepts the key, and knows the model."""

import httpx

from tasks.errors import UserError
from tasks.inference.engines.api_key import read_api_key
from tasks.inference.engines.chat_errors import Endpoint
from tasks.json_text import decode_json
from tasks.preflight.findings import Finding, fatal, ok, warning
from tasks.settings import ApiConfig

ENGINE = "engine"
LIMIT_S = 10.0
SHOWN_MODELS = 5


def served_model_findings(api: ApiConfig, limit_s: float = LIMIT_S) -> list[Finding]:
    """Ask a server for its models, which costs nothing; it may be started later, so only a refused key is an error."""
    assert api.base_url and api.model
    try:
        endpoint = Endpoint(api.base_url, api.model, read_api_key(api.base_url))
    except UserError as error:
        return [fatal(ENGINE, str(error))]
    try:
        response = httpx.get(endpoint.models_url, headers=endpoint.headers, timeout=limit_s)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = endpoint.shown(str(error)) or type(error).__name__
        text = f"{api.base_url} cannot be reached now ({reason}): start it before the test set is answered"
        return [warning(ENGINE, text)]
    return [_finding(endpoint, response)]


def _finding(endpoint: Endpoint, response: httpx.Response) -> Finding:
    server, model = endpoint.base_url, endpoint.model
    if response.status_code in (401, 403):
        said = "does not accept the key" if endpoint.key else "needs a key"
        text = f"{server} {said} (status {response.status_code}): set the environment variable RSVLM_API_KEY"
        return fatal(ENGINE, text)
    listed = _listed(response)
    if listed is None:
        return warning(
            ENGINE, f"{server} does not list its models (status {response.status_code}): {model} is not checked"
        )
    if model in listed:
        return ok(ENGINE, f"{model} at {server}")
    names = ", ".join(listed[:SHOWN_MODELS]) or "none"
    return warning(ENGINE, f"{server} does not list {model} among its {len(listed)} models (first: {names}): check "
                   "inference.api.model")  # fmt: skip


def _listed(response: httpx.Response) -> list[str] | None:
    """The names of the models in a response; None if it has none."""
    try:
        return [str(model["id"]) for model in decode_json(response.content)["data"]]
    except (ValueError, KeyError, TypeError):
        return None
