"""lmms-eval's own scoring of captions, run by a Python that has its packages: `RSVLM_LMMS_EVAL_PYTHON` names it.

    python -m venv LMMS
    LMMS/bin/pip install loguru requests pillow pycocoevalcap pycocotools
    LMMS/bin/pip install --no-deps lmms-eval

Its function for the captions of COCO is called once for each of its metrics, as lmms-eval calls it.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

PYTHON_VARIABLE = "RSVLM_LMMS_EVAL_PYTHON"
# the packages themselves are not run: their imports want torch and all models of lmms-eval
SCORE = """
import importlib.util, json, sys, time, types
(folder,) = importlib.util.find_spec("lmms_eval").submodule_search_locations
for name, place in (("lmms_eval", folder), ("lmms_eval.tasks", f"{folder}/tasks")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [place]
from lmms_eval.tasks.coco_cap.utils import COCO_METRICS, coco_aggregation_result
results = json.load(open(sys.argv[1]))
start = time.perf_counter()
scores = {metric: coco_aggregation_result(results, metric, None) for metric in COCO_METRICS}
seconds = time.perf_counter() - start
json.dump({"seconds": seconds, "scores": scores}, open(sys.argv[2], "w"))
"""


def lmms_eval_scores(references: list[list[str]], answers: list[str]) -> dict[str, Any] | None:
    """Seconds and scores of lmms-eval, which needs Java on PATH; None without an environment that has it."""
    python = os.environ.get(PYTHON_VARIABLE)
    if not python:
        return None
    results = [
        {"answer": group, "pred": answer, "image_id": number, "id": number}
        for number, (group, answer) in enumerate(zip(references, answers, strict=True))
    ]
    with tempfile.TemporaryDirectory(prefix="rsvlm-lmms-eval-") as folder:
        given, found = Path(folder) / "results.json", Path(folder) / "scores.json"
        given.write_text(json.dumps(results), encoding="utf-8")
        command = [python, "-c", SCORE, str(given), str(found)]
        # it writes a file for COCO's server where it runs
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
        scored: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        return scored
