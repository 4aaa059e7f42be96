"""The benchmarks: each measures two things in one run, so that its ratio means the same on every machine.

    python tests/benchmarks/run.py [NAME]...      all of them, or those named

A benchmark is a function from an empty folder to Rows; a new one is an entry in TIMED or COUNTED. docs/benchmarks.md
holds the last table.
"""

import argparse
import os
import platform
import re
import statistics
import sys
import tempfile
import traceback
from collections import defaultdict
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from rows import Row, verdict

# By module and function, imported when run: processes that a benchmark starts import this file again, and would pay
# for all benchmarks with each. These measure time or memory, and are repeated.
TIMED = {
    "unpacking": ("data_stage", "unpacking_beside_unzip"),
    "verifying": ("data_stage", "verifying_beside_decoding"),
    "filtering": ("data_stage", "filtering_beside_loading"),
    "importing": ("importing", "importing_a_million"),
    "audit": ("data_stage", "audit_of_many"),
    "training": ("training", "training_beside_a_bare_loop"),
    "answering": ("inference", "answering_beside_one_at_a_time"),
    "questions": ("inference", "cost_of_many_questions"),
    "merging": ("merging", "merging_beside_copy_and_peft"),
    "evaluation": ("evaluation", "scoring_beside_pycocoevalcap"),
    "staging": ("storage", "staging_beside_saving"),
    "uploading": ("storage", "uploading_beside_aws"),
    "orchestration": ("orchestration", "experiment_beside_plain_functions"),
    "preparing": ("data_parts", "parts_of_preparing"),
    "idle": ("orchestration", "idle_parts"),
}
# These count faults, or compute what is the same each time.
COUNTED = {
    "hostile": ("hostile_archives", "mutated_archives"),
    "padding": ("training", "padding_beside_the_reference"),
    "serving": ("serving_fuzz", "mutated_requests"),
    "statistics": ("simulated_tables", "levels_and_coverage"),
    "kills": ("random_kills", "kills_lose_nothing"),
}
BENCHMARKS = TIMED | COUNTED
ROUNDS = 3
PACKAGES = ("torch", "transformers", "peft", "deepspeed", "prefect", "pycocoevalcap", "boto3")


def main() -> None:
    """Run the benchmarks and print their ratios."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and print their ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often times are measured (default: {ROUNDS})")
    options = parser.parse_args()
    names = options.names or list(BENCHMARKS)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"there is no benchmark {unknown[0]}: choose from {', '.join(BENCHMARKS)}")
    found: dict[str, list[Row]] = defaultdict(list)
    failed = []
    for name in names:
        for number in range(options.rounds if name in TIMED else 1):
            print(f"{name}, round {number + 1} ...", flush=True)
            try:
                rows = measured(name)
            except Exception:
                # an hour of the others is not lost
                traceback.print_exc()
                failed.append(name)
                break
            for row in rows:
                print(f"  {row.name}: {row.ratio:.2f}", flush=True)
                found[row.name].append(row)
    print(f"\n{about_this_machine()}\n\n{table(found)}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def measured(name: str) -> list[Row]:
    """The rows of one round of a benchmark."""
    module, function = BENCHMARKS[name]
    with tempfile.TemporaryDirectory(prefix="rsvlm-bench-") as folder:
        rows: list[Row] = getattr(import_module(module), function)(Path(folder))
    return rows


def about_this_machine() -> str:
    """Date, machine and versions, in two sentences."""
    names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {names[0] if names else platform.machine()}, "
        f"{memory:.0f} GiB, Linux {platform.release()}. Python {platform.python_version()}, {versions}."
    )


def table(found: dict[str, list[Row]]) -> str:
    """Median and spread of each ratio, its aim and whether the median meets it, as Markdown."""
    lines = ["| ratio of two measurements | median | least to most | rounds | aim | |", "|---|---:|---:|---:|---:|---|"]
    for name, rows in found.items():
        ratios = [row.ratio for row in rows]
        median = statistics.median(ratios)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}" if len(ratios) > 1 else ""
        aim = rows[0].aim
        lines.append(f"| {name} | {median:.2f} | {spread} | {len(ratios)} | {aim} | {verdict(median, aim)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
