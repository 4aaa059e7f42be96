"""Several processes answer one test set: their answers are joined, and nothing is asked twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from flows.cli import main
from tasks.errors import DataError, UserError
from tasks.inference.predict import Listener, answer_share, claim, predict
from tasks.inference.request import Share

# answers slowly by echo and notes the asked keys
SLOW = """
import sys, time
from pathlib import Path
from tasks.inference.engines import echo
from tasks.inference.predict import predict
from tasks.inference.request import PredictRequest
class Slow(echo.EchoEngine):
    def answer(self, questions):
        for outcomes in super().answer(questions):
            time.sleep(0.01)
            with Path(sys.argv[2]).open("a") as file:
                file.write("".join(f"{outcome.key}\\n" for outcome in outcomes))
            yield outcomes
echo.EchoEngine = Slow
predict(PredictRequest.model_validate_json(Path(sys.argv[1]).read_text()))
"""


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("of", [2, 3, 9])
def test_joined_shares_equal_the_answers_of_one_process(request_for, records, of):
    request = request_for(records, subset_size=1)
    alone = contents(predict(request_for(records, out="alone", subset_size=1)).path)
    assert claim(request) == 7
    assert sum(answer_share(request, Share(number=number, of=of)) for number in range(of)) == 7
    assert claim(request) == 0
    predict(request, Listener(pytest.fail))
    assert contents(request.out) == alone


def test_predict_answers_what_a_killed_share_left(request_for, records):
    request = request_for(records, subset_size=1)
    claim(request)
    answer_share(request, Share(number=1, of=2))
    seen = []
    predict(request, Listener(lambda answered, asked: seen.append((answered, asked))))
    # the second and the fourth record
    assert seen[0] == (5, 7) and seen[-1] == (7, 7)


def test_claiming_a_finished_folder_leaves_nothing_to_ask(request_for, records):
    predict(request_for(records))
    assert claim(request_for(records)) == 0


def test_claiming_a_folder_of_other_answers_is_refused(request_for, records):
    predict(request_for(records))
    with pytest.raises(UserError, match="give another --out"):
        claim(request_for(records, model_sha256="1" * 64))


def test_refusals_are_reported_by_predict_and_not_by_shares(request_for, records, images):
    (images / records[1]["image"]).write_bytes(b"no image")
    request = request_for(records, subset_size=1)
    claim(request)
    assert sum(answer_share(request, Share(number=number, of=2)) for number in range(2)) == 4
    with pytest.raises(DataError, match="3 questions of 1 records"):
        predict(request)


@pytest.mark.slow
def test_twenty_kills_at_random_times_lose_no_answer_and_repeat_none(request_for, records, tmp_path):
    many = [{**records[n % 4], "id": str(n)} for n in range(200)]
    expected = contents(predict(request_for(many, out="complete", subset_size=7)).path)
    request = request_for(many, out="killed", subset_size=7)
    (tmp_path / "request.json").write_text(request.model_dump_json())
    asked = tmp_path / "asked.txt"
    command = [sys.executable, "-c", SLOW, str(tmp_path / "request.json"), str(asked)]
    rng, kills, log = random.Random(28), 0, request.out / "answers.jsonl"
    goals = sorted(rng.sample(range(1, 345), 20))
    for goal in goals:
        child = subprocess.Popen(command, env=os.environ)
        # a random time: after a number of answers, and a little more
        while child.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < goal):
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02)
        child.send_signal(signal.SIGKILL)
        kills += child.wait() == -signal.SIGKILL
    assert kills == 20
    kept = [json.loads(line)["key"] for line in log.read_text(encoding="utf-8").split("\n")[:-1]]
    assert len(kept) == len(set(kept)) < 350
    subprocess.run(command, check=True)
    assert contents(request.out) == expected
    in_flight = 2 * kills
    assert len(asked.read_text().split()) <= 350 + in_flight


# Runs a command per size, beyond which no file may grow; the last argument is completed by the size.
FULL_DISKS = """
import contextlib, io, json, resource, signal, sys
from flows.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ends, hard = [], resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for size in map(int, sys.argv[1].split(",")):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        code = main([*sys.argv[2:-1], f"{sys.argv[-1]}{size}"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    ends.append([code, said.getvalue()])
print(json.dumps(ends))
"""


def test_a_full_disk_is_reported_and_keeps_the_answers_so_far(request_for, records):
    request = request_for(records, config={"batch_size": 1})
    request.model.mkdir()
    (request.model / "config.json").write_text("{}")
    arguments = ["predict", "--engine", "echo", "--batch-size", "1", "--dtype", "float32", "--subset-size", "2"]
    places = {"model": request.model, "data": request.data, "images": request.images, "out": request.out}
    arguments += [part for name, path in places.items() for part in (f"--{name}", str(path))]
    # fails at the start, in the middle of the log, in final.json
    sizes = ("600", "1000", "1100")
    command = [sys.executable, "-c", FULL_DISKS, ",".join(sizes), *arguments]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    for size, (code, said) in zip(sizes, json.loads(child.stdout), strict=True):
        assert code == 2 and "make room" in said and "Traceback" not in said, said
        kept = request.out.with_name(f"{request.out.name}{size}")
        assert main([*arguments[:-1], str(kept)]) == 0
        assert (kept / "final.json").is_file()
