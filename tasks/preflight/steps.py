"""The look ahead as a Prefect task, the first of a run."""

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from tasks.errors import DataError, UserError
from tasks.files import digest_of, read_json, write_json
from tasks.orchestration.artifacts import artifact_key
from tasks.paths import FINAL, MANIFEST
from tasks.preflight.preflight import look_ahead
from tasks.settings import ExperimentConfig
from tasks.storage.runs import Run
from tasks.storage.steps import open_run_store


@task(name="preflight")
def look_ahead_step(config: ExperimentConfig, run: Run) -> None:
    """Look at all that a run needs; raises UserError with everything that would stop it.

    A run whose training has ended is not looked at again: its GPUs may be gone, and what is made is only taken.
    """
    digest = digest_of(config.as_plain())
    if (run.folder.training / FINAL / MANIFEST).is_file() and _looked_at(run) == digest:
        return
    block = config.store.credentials_block
    report = look_ahead(config, run.workspace_root, open_run_store(run) if block else None)
    get_run_logger().info("What was found before the run:\n%s", report.as_text())
    create_markdown_artifact(
        report.as_markdown(),
        key=artifact_key("preflight", run.name),
        description=f"What {run.name} found before it began",
    )
    if report.stops:
        raise UserError(report.message())
    write_json(run.folder.preflight, {"settings": digest, **report.model_dump(mode="json")})


def _looked_at(run: Run) -> str | None:
    """The digest of the settings that were last looked at and could go."""
    try:
        return str(read_json(run.folder.preflight)["settings"])
    except (DataError, KeyError, TypeError):
        return None
