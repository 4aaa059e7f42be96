"""The merged models of a sweep's points: each as large as its base, and made again from its checkpoint in minutes."""

from pathlib import Path
from shutil import rmtree
from uuid import uuid4

from tasks.paths import Workspace
from tasks.sweeping.study import RUN, Points


def remove_spare_models(points: Points, workspace: Workspace) -> list[Path]:
    """Remove the merged models of all points but the best so far; the folders that were removed.

    A run that went on to its end as an experiment keeps its own: somebody has asked for that one.
    """
    scored = points.scored()
    best = max(scored, key=lambda trial: trial.value or 0.0, default=None)
    others = {trial.user_attrs[RUN] for trial in scored} - ({best.user_attrs[RUN]} if best else set())
    spare = map(workspace.run, sorted(others))
    return [run.merged for run in spare if run.merged.exists() and not run.reports.exists() and _remove(run.merged)]


def _remove(folder: Path) -> bool:
    # of a removal that is cut short, what is left does not bear the name of a model, and the next merge removes it
    aside = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.part")
    folder.rename(aside)
    rmtree(aside)
    return True
