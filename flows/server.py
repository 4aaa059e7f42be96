"""Whether the configured Prefect server answers, asked before a flow begins: Prefect's own client tries for minutes."""

from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

from tasks.errors import ConfigError
from tasks.secret_addresses import without_secrets

# of one request, and of all of it: a name that is looked up or an answer that drips has no limit of its own
ANSWER_S, PATIENCE_S = 5.0, 6.0
START = (
    "Start one with `.venv/bin/prefect server start`, say where it is with "
    "`.venv/bin/prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api`, and "
)
WITHOUT = "or do without one, after `.venv/bin/prefect config unset PREFECT_API_URL`: rsvlm then starts its own."


def require_server(again: str) -> None:
    """Raise ConfigError unless a server is configured and answers; `again` is what to do once it does."""
    address = _configured()
    if not address:
        raise ConfigError(f"No Prefect server is configured, and deployments need one. {START}{again}.")
    _require_answer(address, f"{START}{again}.")


def require_configured_server() -> None:
    """Raise ConfigError where a server is configured and does not answer; with none, Prefect starts its own."""
    if address := _configured():
        _require_answer(address, f"{START}try again, {WITHOUT}")


def is_configured() -> bool:
    """Whether a server is configured at all."""
    return _configured() is not None


def _configured() -> str | None:
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def _require_answer(address: str, what_to_do: str) -> None:
    found: SimpleQueue[str | None] = SimpleQueue()
    Thread(target=lambda: found.put(_fault()), daemon=True).start()
    fault: str | None = f"nothing within {PATIENCE_S:g} s"
    with suppress(Empty):
        fault = found.get(timeout=PATIENCE_S)
    if fault:
        raise ConfigError(f"No Prefect server answers at {without_secrets(address)} ({fault}). {what_to_do}")


def _fault() -> str | None:
    """What is wrong with the server's answer; None where it is as it should be."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(httpx_settings={"timeout": ANSWER_S}, sync_client=True) as client,
        ):
            answer = client.hello()
            greeting = answer.json()
    except httpx.HTTPStatusError as error:
        return f"HTTP status {error.response.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return str(error) or type(error).__name__
    except ValueError:
        return "what answers there is no Prefect server"
    return None if isinstance(greeting, str) else "what answers there is no Prefect server"
