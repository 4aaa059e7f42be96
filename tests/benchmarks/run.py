"""The benchmarks: each measures two things in one run, so that its ratio means the same on every machine.

    python tests/benchmarks/run.py [NAME]...      all of them, or those named

A benchmark is a function from an empty folder to Rows; a new one is an entry in BENCHMARKS.
"""

import argparse
import tempfile
from importlib import import_module
from pathlib import Path

from rows import Row

# By module and function, imported when run: processes that a benchmark starts import this file again, and would pay
# for all benchmarks with each.
BENCHMARKS = {
    "unpacking": ("data_stage", "unpacking_beside_unzip"),
    "hostile": ("hostile_archives", "mutated_archives"),
    "verifying": ("data_stage", "verifying_beside_decoding"),
    "filtering": ("data_stage", "filtering_beside_loading"),
    "importing": ("importing", "importing_a_million"),
    "audit": ("data_stage", "audit_of_many"),
    "training": ("training", "training_beside_a_bare_loop"),
    "padding": ("training", "padding_beside_the_reference"),
    "answering": ("inference", "answering_beside_one_at_a_time"),
    "questions": ("inference", "cost_of_many_questions"),
    "serving": ("serving_fuzz", "mutated_requests"),
    "merging": ("merging", "merging_beside_copy_and_peft"),
    "evaluation": ("evaluation", "scoring_beside_pycocoevalcap"),
    "statistics": ("simulated_tables", "levels_and_coverage"),
    "staging": ("storage", "staging_beside_saving"),
    "uploading": ("storage", "uploading_beside_aws"),
    "kills": ("random_kills", "kills_lose_nothing"),
    "orchestration": ("orchestration", "experiment_beside_plain_functions"),
    "idle": ("orchestration", "idle_parts"),
}


def main() -> None:
    """Run the benchmarks and print their ratios."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and print their ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(BENCHMARKS)} (default: all)")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"there is no benchmark {unknown[0]}: choose from {', '.join(BENCHMARKS)}")
    rows: list[Row] = []
    for name in names:
        print(f"{name} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="rsvlm-bench-") as folder:
            module, function = BENCHMARKS[name]
            rows += getattr(import_module(module), function)(Path(folder))
    print_table(rows)


def print_table(rows: list[Row]) -> None:
    """Print ratio, aim and whether it is met, a line each."""
    width = max(len(row.name) for row in rows)
    print(f"\n{'ratio of two measurements in this run':{width}}  {'ratio':>7}  {'aim':>7}")
    for row in rows:
        print(f"{row.name:{width}}  {row.ratio:7.2f}  {row.aim:>7}  {row.verdict}".rstrip())


if __name__ == "__main__":
    main()
