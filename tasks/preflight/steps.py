"""The preflight checks as a Prefect task, the first of a run."""

from prefect import get_run_logger, task

from tasks.errors import DataError, UserError
from tasks.files import digest_of, read_json, write_json
from tasks.orchestration.artifacts import artifact_key, show_markdown
from tasks.paths import FINAL, MANIFEST
from tasks.preflight.preflight import run_preflight
from tasks.settings import ExperimentConfig
from tasks.storage.runs import Run
from tasks.storage.steps import open_run_store


@task(name="preflight")
def preflight_step(config: ExperimentConfig, run: Run) -> None:
    """Check everything that a run needs; raises UserError with all problems that prevent it.

    A run whose training has finished is not checked again: its GPUs may be gone, and its results are reused.
    """
    digest = digest_of(config.as_plain())
    if (run.folder.training / FINAL / MANIFEST).is_file() and _checked_settings(run) == digest:
        return
    block = config.store.credentials_block
    report = run_preflight(config, run.workspace_root, open_run_store(run) if block else None)
    get_run_logger().info("Preflight checks:\n%s", report.as_text())
    show_markdown(report.as_markdown(), artifact_key("preflight", run.name), f"Preflight checks of {run.name}")
    if report.errors:
        raise UserError(report.message())
    write_json(run.folder.preflight, {"settings": digest, **report.model_dump(mode="json")})


def _checked_settings(run: Run) -> str | None:
    """Digest of the settings that last passed the checks."""
    try:
        return str(read_json(run.folder.preflight)["settings"])
    except (DataError, KeyError, TypeError):
        return None
