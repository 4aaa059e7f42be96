"""Sweeps as Prefect tasks: the validation set, and the leaderboard on Prefect's pages."""

from collections.abc import Sequence
from pathlib import Path

from prefect.artifacts import create_link_artifact, create_table_artifact

from tasks.content_keys import SHARED_CODE
from tasks.data.dataset_views import view_validation
from tasks.orchestration.artifacts import artifact_key, harmless
from tasks.orchestration.caching import step
from tasks.paths import LEADERBOARD_PAGE
from tasks.records import DatasetRef
from tasks.sweeping.leaderboard import LeaderboardRow
from tasks.sweeping.pages import table_rows


@step("view-validation", ignore=["out"], code=["tasks.data", *SHARED_CODE])
def view_validation_step(dataset: DatasetRef, out: Path) -> DatasetRef:
    """Have the validation set of a dataset where its test set is looked for."""
    return view_validation(dataset, out)


def show_leaderboard(folder: Path, rows: Sequence[LeaderboardRow]) -> None:
    """Show a sweep's leaderboard on Prefect's pages, with a link to its page with charts."""
    with harmless():
        create_table_artifact(
            table_rows(rows), key=artifact_key("leaderboard", folder.name), description=f"Leaderboard of {folder.name}"
        )
        create_link_artifact(
            (folder / LEADERBOARD_PAGE).resolve().as_uri(),
            link_text=f"sweep {folder.name}",
            key=artifact_key("sweep", folder.name),
        )
