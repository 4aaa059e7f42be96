"""The leaderboard of a sweep on Prefect's pages."""

from collections.abc import Sequence
from pathlib import Path

from tasks.orchestration.artifacts import artifact_key, show_page, show_table
from tasks.paths import LEADERBOARD_PAGE
from tasks.sweeping.leaderboard import LeaderboardRow
from tasks.sweeping.pages import table_rows


def show_leaderboard(folder: Path, rows: Sequence[LeaderboardRow]) -> None:
    """Show a sweep's leaderboard on Prefect's pages, with a link to its page with charts."""
    about = f"Leaderboard of {folder.name}"
    show_table(table_rows(rows), artifact_key("leaderboard", folder.name), about)
    page = (folder / LEADERBOARD_PAGE).absolute()
    show_page(page, artifact_key("sweep", folder.name), f"Sweep {folder.name}")
