"""Child processes are streamed, started without a shell, and always ended with all their children."""

import ast
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.locations import REPO

from tasks.errors import ConfigError, UserError
from tasks.processes import (
    LAST_LINES,
    ProcessFailed,
    child_environment,
    map_in_processes,
    run_streamed,
    run_worker,
)

# A child that starts another one and prints both pids; the other one keeps the output open.
TWO = (
    "import os, subprocess, sys, time\n"
    "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
    "print(os.getpid(), other.pid, flush=True)\n"
)
STAYS = TWO + "time.sleep(300)\n"

WORKER = """
import sys
from tasks.errors import DataError
from tasks.processes import serve_worker

def work(config):
    if config["do"] == "refuse":
        raise DataError("café.json has no images: put them there.")
    if config["do"] == "crash":
        raise RuntimeError("a bug")
    print("working on", config["do"])
    return {"made": config["do"]}

if __name__ == "__main__":
    serve_worker(work)
"""


UNGUARDED = """
from os.path import basename
from tasks.processes import map_in_processes
print(map_in_processes(basename, ["a/1", "b/2", "c/3"], workers=2))
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def is_running(pid: int) -> bool:
    """Whether a process still runs; a zombie stays listed until its new parent reaps it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def await_end(pid: int) -> None:
    """Wait until a process that was not started here has ended; the suite's time limit ends the wait otherwise."""
    while is_running(pid):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        select.select([descriptor], [], [], 1)
        os.close(descriptor)


@pytest.fixture
def worker(tmp_path: Path) -> dict[str, str]:
    """The environment in which `a_worker` is a module."""
    (tmp_path / "a_worker.py").write_text(WORKER)
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}


def test_run_streamed_passes_each_line_on_as_it_is_printed(tmp_path: Path) -> None:
    lines: list[str] = []
    # the child goes on only when its first line was received
    code = "import sys, os\nprint('first', flush=True)\nwhile not os.path.exists(sys.argv[1]): pass\nprint('second')"
    received = tmp_path / "received"

    def on_line(line: str) -> None:
        lines.append(line)
        received.touch()

    run_streamed([*python(code), str(received)], on_line)
    assert lines == ["first", "second"]


def test_run_streamed_includes_stderr_and_replaces_invalid_utf8() -> None:
    lines: list[str] = []
    run_streamed(python("import sys; sys.stderr.buffer.write(b'bad \\xff byte\\n')"), lines.append)
    assert lines == ["bad � byte"]


@pytest.mark.parametrize("variable", ["LANG", "LC_ALL", "LC_NUMERIC", "LC_CTYPE", "LANGUAGE"])
@pytest.mark.parametrize("value", ["de_DE.UTF-8", "fr_FR.ISO-8859-1", "tr_TR.UTF-8", "C", "xx_NONE"])
def test_child_environment_has_a_fixed_locale_whatever_the_users_is(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("LANGUAGE_MODEL", "kept")
    found = child_environment({"MORE": "1"})
    assert {name: found[name] for name in found if name.startswith(("LANG", "LC_"))} == {
        **{"LC_ALL": "C.UTF-8", "LANGUAGE_MODEL": "kept"}
    }
    assert found["MORE"] == "1" and found["PATH"] == os.environ["PATH"]


def test_output_of_a_child_is_decoded_as_utf8_in_any_locale() -> None:
    # a whole process: the encoding of a text is chosen when it starts
    code = (
        "import sys\nfrom tasks.processes import run_streamed\nlines = []\n"
        "run_streamed([sys.executable, '-c', 'print(chr(233))'], lines.append)\n"
        "assert lines == [chr(233)], ascii(lines)"
    )
    env = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run(python(code), check=True, env=env)


# a child works in UTF-8, where the same letters name another file, or none
@pytest.mark.parametrize("value", [["/data/é/x.json"], {"root": {"out": "é"}}, {"files": ("a", "é")}])
def test_run_worker_refuses_a_name_that_differs_in_utf8_before_the_worker_starts(
    value: object, worker: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {"do": "write", "value": value}
    assert run_worker("a_worker", named, env=worker)["made"] == "write"
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "gb18030")
    assert run_worker("a_worker", {"do": "write"}, env=worker)["made"] == "write"
    with pytest.raises(ConfigError, match=r"é.* the encoding of this locale is gb18030, .*: set LC_ALL=C\.UTF-8"):
        run_worker("a_worker", named, env=worker)


def test_every_subprocess_call_sets_an_environment() -> None:
    started, without = 0, []
    for file in (path for name in ("flows", "tasks", "deployments") for path in (REPO / name).rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) in ("subprocess.run", "subprocess.Popen", "subprocess.check_output"):
                started += 1
                if not any(word.arg == "env" for word in call.keywords):
                    without.append(f"{file.relative_to(REPO)}:{call.lineno}")
    assert started > 5 and not without, f"give these env=child_environment(): {without}"


def test_process_failed_has_the_exit_code_and_the_last_lines() -> None:
    with pytest.raises(ProcessFailed) as failed:
        run_streamed(python("for i in range(100): print(i)\nraise SystemExit(7)"), lambda line: None)
    assert failed.value.code == 7
    assert failed.value.lines == [str(i) for i in range(100 - LAST_LINES, 100)]


def test_arguments_are_not_interpreted_by_a_shell(tmp_path: Path) -> None:
    lines: list[str] = []
    odd = f"$HOME; touch {tmp_path}/made `id` *"
    run_streamed([*python("import sys; print(sys.argv[1])"), odd], lines.append)
    assert lines == [odd]
    assert not (tmp_path / "made").exists()


def test_processes_that_a_child_leaves_running_are_ended() -> None:
    lines: list[str] = []
    run_streamed(python(TWO), lines.append)
    await_end(int(lines[0].split()[1]))


def test_a_child_is_ended_with_its_group_at_its_time_limit() -> None:
    lines: list[str] = []
    with pytest.raises(ProcessFailed, match="ended after 2 s: its time limit has passed"):
        run_streamed(python(STAYS), lines.append, timeout_s=2)
    for pid in map(int, lines[0].split()):
        await_end(pid)


def test_a_child_that_exits_with_0_after_its_time_limit_has_failed() -> None:
    code = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\ntime.sleep(300)"
    with pytest.raises(ProcessFailed, match="has passed"):
        run_streamed(python(code), lambda line: None, timeout_s=1)


def test_an_exception_in_on_line_ends_the_child() -> None:
    pids: list[int] = []

    def on_line(line: str) -> None:
        pids.extend(map(int, line.split()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_streamed(python(STAYS), on_line)
    for pid in pids:
        await_end(pid)


def test_a_child_ends_when_its_parent_is_killed() -> None:
    code = (
        "from tasks.processes import run_streamed\nimport sys\n"
        "run_streamed([sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(300)'],"
        " lambda line: print(line, flush=True))"
    )
    parent = subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    await_end(child)


def test_run_worker_returns_the_result_of_its_work_function(worker: dict[str, str]) -> None:
    lines: list[str] = []
    assert run_worker("a_worker", {"do": "this"}, lines.append, env=worker) == {"made": "this"}
    assert lines == ["working on this"]


def test_a_user_error_in_a_worker_is_raised_in_the_parent(worker: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"^café\.json has no images: put them there\.$"):
        run_worker("a_worker", {"do": "refuse"}, lambda line: None, env=worker)


def test_a_bug_in_a_worker_is_raised_with_its_traceback(worker: dict[str, str]) -> None:
    with pytest.raises(ProcessFailed, match="RuntimeError: a bug") as failed:
        run_worker("a_worker", {"do": "crash"}, lambda line: None, env=worker)
    assert failed.value.code == 1


def test_map_in_processes_keeps_the_order_of_items_and_the_main_module() -> None:
    before = dict(vars(sys.modules["__main__"]))
    found = map_in_processes(os.path.basename, [f"folder/{number}" for number in range(50)], workers=2, chunk=7)
    assert found == [str(number) for number in range(50)]
    # under the tests' own workers it has none
    assert vars(sys.modules["__main__"]).get("__file__") == before.get("__file__")


def test_map_in_processes_does_not_run_an_unguarded_main_module_again(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(UNGUARDED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.split("\n")) == (0, ["['1', '2', '3']", ""]), ended.stderr
