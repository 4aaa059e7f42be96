"""Commands killed at random moments, half of the time with all that they started; then started again, to their end.

    python tests/benchmarks/random_kills.py [--seed N] [--archive N] ... [--run N]

Half of the moments are drawn from the time that a command takes, half from its actions on files and servers. After
each kill every file under its final name is compared with what the undisturbed command makes, and what was complete
before must still be. Ends with 1 where anything was lost, half-written or left over, or did not go on.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from kill_commands import COMMANDS, Bucket
from kill_series import Series, Tally
from rows import Row
from storage import KEYS, s3_server

KILLS = {
    "archive": 20,
    "archive to S3": 20,
    "pull": 20,
    "pull from S3": 20,
    "merge": 35,
    "predict": 35,
    "evaluate": 30,
    "run": 20,
}
SEED = 28
# every tenth kill of each command, as one of the benchmarks: all of them take an hour
SHARE = 10


def kills_lose_nothing(folder: Path) -> list[Row]:
    """What is wrong after a tenth of the kills."""
    tallies = killed_all(folder, {name: -(-kills // SHARE) for name, kills in KILLS.items()}, SEED)
    return [Row("faults after random kills", sum(map(faults, tallies)), "<= 0")]


def main() -> int:
    """Kill the commands as often as asked, and print a row for each."""
    parser = argparse.ArgumentParser(description="Kill commands at random moments and count what is lost.")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N", help=f"of the moments (default: {SEED})")
    for name, kills in KILLS.items():
        option = f"--{name.lower().replace(' ', '-')}"
        parser.add_argument(option, dest=name, type=int, metavar="N", help=f"kills (default: {kills}; 0: none)")
    options = vars(parser.parse_args())
    seed = options.pop("seed")
    asked = any(kills is not None for kills in options.values())
    kills = {name: (options[name] or 0) if asked else number for name, number in KILLS.items()}
    with tempfile.TemporaryDirectory(prefix="rsvlm-kills-") as folder:
        tallies = killed_all(Path(folder), kills, seed)
    print_tallies(tallies)
    return 1 if any(map(faults, tallies)) else 0


def killed_all(folder: Path, kills: dict[str, int], seed: int) -> list[Tally]:
    """Kill each command so many times, in its own folder, next to an S3 server."""
    os.environ.update(KEYS)
    tallies = []
    with s3_server(folder / "server") as address:
        for name, number in kills.items():
            if number:
                tallies.append(killed_one(folder, name, number, seed, Bucket(address)))
    return tallies


def killed_one(folder: Path, name: str, kills: int, seed: int, bucket: Bucket) -> Tally:
    """Kill one command; what is wrong is printed as it is found."""
    place = folder / name.replace(" ", "-")
    place.mkdir()
    killed = COMMANDS[name](place, bucket if "S3" in name else None)
    series = Series(killed, place, random.Random(f"{seed} {name}"))
    series.tally.name = name
    print(f"{name}: {len(series.differing)} files differ between undisturbed runs {series.differing[:40]}", flush=True)
    series.kill(kills)
    for kind, found in series.tally.faults.items():
        for each in found:
            print(f"{name}: {kind}: {each}", flush=True)
    print_tallies([series.tally])
    return series.tally


def faults(tally: Tally) -> int:
    return sum(map(len, tally.faults.values()))


def print_tallies(tallies: list[Tally]) -> None:
    """Print a row for each command, and one for all."""
    names = ("kills", "of all processes", "ends", *Tally("").faults)
    rows = [
        (each.name, [each.kills, each.group_kills, each.finished, *map(len, each.faults.values())]) for each in tallies
    ]
    rows.append(("all", [sum(column) for column in zip(*(row[1] for row in rows), strict=True)]))
    print(f"\n{'command':14}" + "".join(f"  {name:>16}" for name in names))
    for name, figures in rows:
        print(f"{name:14}" + "".join(f"  {figure:16}" for figure in figures), flush=True)


if __name__ == "__main__":
    sys.exit(main())
