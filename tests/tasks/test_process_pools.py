"""Work shared among processes gives what one process gives, whatever program has started it."""

import os
import subprocess
import sys
from pathlib import Path

from tasks.process_pools import map_in_processes

UNGUARDED = """
from os.path import basename
from tasks.process_pools import map_in_processes
print(map_in_processes(basename, ["a/1", "b/2", "c/3"], workers=2))
"""


def test_results_come_in_the_order_of_their_items_and_the_program_keeps_its_file() -> None:
    before = dict(vars(sys.modules["__main__"]))
    found = map_in_processes(os.path.basename, [f"folder/{number}" for number in range(50)], workers=2, chunk=7)
    assert found == [str(number) for number in range(50)]
    # under the tests' own workers it has none
    assert vars(sys.modules["__main__"]).get("__file__") == before.get("__file__")


def test_a_program_that_guards_nothing_is_not_run_again_in_each_process(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(UNGUARDED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.split("\n")) == (0, ["['1', '2', '3']", ""]), ended.stderr
