"""Check that the configured Prefect server answers before a flow starts: Prefect's own client retries for minutes."""

import os
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Literal

from tasks.errors import ConfigError
from tasks.secret_addresses import without_secrets

# seconds for one request, and for the whole check: a DNS lookup or a trickling response has no timeout of its own
REQUEST_S, TOTAL_S = 5.0, 6.0
EXAMPLE = "http://127.0.0.1:4200/api"


def require_server(again: str) -> None:
    """Raise ConfigError unless a server is configured and answers; `again` says what to do once it does."""
    address = _configured()
    if not address:
        raise ConfigError(f"No Prefect server is configured, and deployments need one. {_start()}, and {again}.")
    _require_answer(address, f"{_start()}, and {again}.")


def require_configured_server() -> None:
    """Raise ConfigError if a server is configured and does not answer; without one, Prefect starts its own."""
    if address := _configured():
        without = f"run without one after `{_command_to('unset')}`: rsvlm then starts its own"
        _require_answer(address, f"{_start()}, and try again, or {without}.")


def is_configured() -> bool:
    """Whether a server is configured."""
    return _configured() is not None


def _configured() -> str | None:
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def _start() -> str:
    return f"Start one with `.venv/bin/prefect server start`, set its address with `{_command_to('set')}`"


def _command_to(change: Literal["set", "unset"]) -> str:
    """The command that sets or unsets the server: in the environment if it is set there, else in Prefect's profile."""
    if "PREFECT_API_URL" in os.environ:
        # it overrides `prefect config`
        return f"export PREFECT_API_URL={EXAMPLE}" if change == "set" else "unset PREFECT_API_URL"
    value = f"={EXAMPLE}" if change == "set" else ""
    return f".venv/bin/prefect config {change} PREFECT_API_URL{value}"


def _require_answer(address: str, remedy: str) -> None:
    found: SimpleQueue[str | None] = SimpleQueue()
    # the settings may be those of this context alone
    Thread(target=copy_context().run, args=(lambda: found.put(_fault()),), daemon=True).start()
    fault: str | None = f"nothing within {TOTAL_S:g} s"
    with suppress(Empty):
        fault = found.get(timeout=TOTAL_S)
    if fault:
        raise ConfigError(f"No Prefect server answers at {without_secrets(address)} ({fault}). {remedy}")


def _fault() -> str | None:
    """The fault in the server's answer, or None."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(httpx_settings={"timeout": REQUEST_S}, sync_client=True) as client,
        ):
            answer = client.hello()
            greeting = answer.json()
    except httpx.HTTPStatusError as error:
        return f"HTTP status {error.response.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return str(error) or type(error).__name__
    except ValueError:
        return "it is not a Prefect server"
    return None if isinstance(greeting, str) else "it is not a Prefect server"
