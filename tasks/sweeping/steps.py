"""The leaderboard of a sweep on Prefect's pages."""

from collections.abc import Sequence
from pathlib import Path

from prefect.artifacts import create_link_artifact, create_table_artifact

from tasks.orchestration.artifacts import artifact_key, harmless
from tasks.paths import LEADERBOARD_PAGE
from tasks.sweeping.leaderboard import LeaderboardRow
from tasks.sweeping.pages import table_rows


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
