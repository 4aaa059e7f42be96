"""SPICE, where the models that it needs are installed; nothing is ever downloaded.

The package's own class downloads 400 MB when they are missing, writes into site-packages and has no time limit.
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.errors import RsvlmError, UserError
from tasks.evaluation.metrics.java import java_command, scorer_file
from tasks.processes import child_environment, die_with_parent

JAR = "spice-1.0.jar"
# what pycocoevalcap's get_stanford_models puts into its folder spice/lib
MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
START_S, SECONDS_A_CAPTION = 300, 2.0
# Java from 16 on closes to old libraries what SPICE's cache reaches into
OPENED = ("--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.math=ALL-UNNAMED")


def spice_jar() -> Path | None:
    """SPICE's jar, or None where its models do not stand beside it."""
    try:
        jar = scorer_file("spice.spice", JAR)
    except UserError:
        return None
    return jar if has_models(jar) else None


def has_models(jar: Path) -> bool:
    """Whether the models that SPICE needs stand beside its jar."""
    return all((jar.parent / "lib" / name).is_file() for name in MODELS)


def score_spice(
    jar: Path, hypotheses: Sequence[str], references: Sequence[Sequence[str]], limit_s: float | None = None
) -> tuple[float, "np.ndarray"]:
    """SPICE over all captions and of each, as Spice.compute_score of pycocoevalcap gives it, but 0 for empty captions.

    Raises RsvlmError when Java fails or is not done after `limit_s` seconds (default: by the number of captions).
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, said, cache = (Path(folder) / name for name in ("asked.json", "said.json", "cache"))
        cache.mkdir()
        rows = [
            {"image_id": place, "test": hypothesis, "refs": list(group)}
            for place, (hypothesis, group) in enumerate(zip(hypotheses, references, strict=True))
        ]
        asked.write_text(json.dumps(rows), encoding="utf-8")
        command = java_command("-XX:+IgnoreUnrecognizedVMOptions", *OPENED, "-Xmx8G", "-jar", str(jar))
        command += [str(asked), "-cache", str(cache), "-out", str(said), "-subset", "-silent"]
        _run(command, limit_s or START_S + SECONDS_A_CAPTION * sum(map(len, references)), jar.parent)
        found = {row["image_id"]: row["scores"]["All"]["f"] for row in json.loads(said.read_text(encoding="utf-8"))}
    # an empty caption has no scene graph: 0 here, not a number there
    each = np.nan_to_num(np.array([float(found[place]) for place in range(len(hypotheses))]))
    return float(each.mean()), each


def _run(command: list[str], limit_s: float, folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            command,
            capture_output=True,
            timeout=limit_s,
            cwd=folder,
            env=child_environment(),
            preexec_fn=die_with_parent,
        )
    except subprocess.TimeoutExpired:
        raise RsvlmError(f"SPICE did not end within {limit_s:.0f} s.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace")[-500:]
        raise RsvlmError(f"SPICE's Java process failed with {done.returncode}; it said: {said}")
