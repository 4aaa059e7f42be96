"""SPICE, where the models that it needs are installed; nothing is ever downloaded.

The package's own class downloads 400 MB when they are missing, writes into site-packages and has no time limit.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.errors import RsvlmError, UserError
from tasks.evaluation.metrics.java import end_of, run_java, scorer_file
from tasks.evaluation.uncertainty.moments import Floats

JAR = "spice-1.0.jar"
# downloaded by pycocoevalcap.spice.get_stanford_models to its folder spice/lib
MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
START_S, SECONDS_PER_REFERENCE = 300, 2.0
# from version 16 on Java denies old libraries the access that SPICE's cache needs
OPENED = ("--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.math=ALL-UNNAMED")


def spice_jar() -> Path | None:
    """The path of SPICE's jar; None if its models are not next to it."""
    try:
        jar = scorer_file("spice.spice", JAR)
    except UserError:
        return None
    return jar if has_models(jar) else None


def has_models(jar: Path) -> bool:
    """Whether the models that SPICE needs are next to its jar."""
    return all((jar.parent / "lib" / name).is_file() for name in MODELS)


def score_spice(
    jar: Path, hypotheses: Sequence[str], references: Sequence[Sequence[str]], limit_s: float | None = None
) -> tuple[float, Floats]:
    """SPICE over all captions and of each, float64 (captions,); 0 for an empty caption.

    Equals Spice.compute_score of pycocoevalcap, which gives NaN for an empty caption. Raises RsvlmError if Java
    fails or takes longer than `limit_s` seconds (default: by the number of references).
    """
    limit_s = limit_s or START_S + SECONDS_PER_REFERENCE * sum(map(len, references))
    with tempfile.TemporaryDirectory() as folder:
        input_file, output_file, cache = (Path(folder) / name for name in ("input.json", "output.json", "cache"))
        cache.mkdir()
        rows = [
            {"image_id": index, "test": hypothesis, "refs": list(group)}
            for index, (hypothesis, group) in enumerate(zip(hypotheses, references, strict=True))
        ]
        input_file.write_text(json.dumps(rows), encoding="utf-8")
        arguments = ["-XX:+IgnoreUnrecognizedVMOptions", *OPENED, "-Xmx8G", "-jar", str(jar)]
        arguments += [str(input_file), "-cache", str(cache), "-out", str(output_file), "-subset", "-silent"]
        done = run_java("SPICE", arguments, limit_s, folder=jar.parent)
        if done.returncode:
            raise RsvlmError(f"SPICE's Java process failed with {done.returncode}; its output: {end_of(done.stderr)}")
        found = {
            row["image_id"]: row["scores"]["All"]["f"] for row in json.loads(output_file.read_text(encoding="utf-8"))
        }
    # an empty caption has no scene graph: NaN
    each = np.nan_to_num(np.array([float(found[index]) for index in range(len(hypotheses))]))
    return float(each.mean()), each
