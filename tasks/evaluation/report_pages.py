"""Find a report by what a user names: a file, a folder, or a run of the workspace."""

import difflib
from collections.abc import Iterator
from pathlib import Path

from tasks.errors import ConfigError
from tasks.paths import FINAL, METRICS, REPORT_PAGE, REPORTS, Workspace

# runs that an error names: more would not be read
MOST_NAMED = 10


def find_page(named: Path, workspace: Path) -> Path:
    """The report.html that is named, or that of a named report; raises ConfigError as find_report does."""
    if named.name == REPORT_PAGE and named.is_file():
        return named
    return find_report(named, workspace, REPORT_PAGE) / REPORT_PAGE


def find_report(named: Path, workspace: Path, file: str = METRICS) -> Path:
    """The folder of a report with this file: of a report folder, a run's folder, or a run of the workspace.

    A run of the workspace is named RUN or RUN/MODEL; without a model it is the report on the final one. Raises
    ConfigError, which names the reports that there are.
    """
    runs = Workspace(workspace).runs
    run, *model = named.parts or ("",)
    # a run's name is one part, and its model may be another
    is_name = not named.is_absolute() and len(model) < 2 and run not in ("", "..")
    places = [*_reports_in(named)]
    if is_name:
        places += _reports_in(runs / run / REPORTS / Path(*model))
    for place in places:
        if (place / file).is_file():
            return place
    folder = named if named.is_dir() else runs / run
    if not (is_name or named.is_dir()) or not folder.is_dir():
        raise ConfigError(_unknown(named, runs))
    found = sorted(page.parent.name for page in (folder / REPORTS).glob(f"*/{file}"))
    if not found:
        raise ConfigError(f"{folder} has no report yet: `rsvlm run` or `rsvlm evaluate` writes it as its last step.")
    raise ConfigError(f"{folder} has no report on {model[0] if model else FINAL}: give {_choices(folder, found)}.")


def _reports_in(folder: Path) -> Iterator[Path]:
    """Where the report may be: in a report folder, a folder of reports, or a run's folder."""
    yield from (folder, folder / FINAL, folder / REPORTS / FINAL)


def _unknown(named: Path, runs: Path) -> str:
    known = sorted(path.parent.name for path in runs.glob(f"*/{REPORTS}"))
    close = difflib.get_close_matches(str(named), known, n=1)
    if close:
        hint = f"did you mean {close[0]}?"
    elif known:
        more = f" or {len(known) - MOST_NAMED} more, which `rsvlm list` shows" if len(known) > MOST_NAMED else ""
        hint = f"give one of {', '.join(known[:MOST_NAMED])}{more}."
    else:
        hint = "give a report's folder, or --workspace DIR."
    return f"{named} is neither a report's folder nor a run in {runs}: {hint}"


def _choices(folder: Path, models: list[str]) -> str:
    return " or ".join(f"{folder.name}/{model}" for model in models)
