"""Mutated archives: each is refused, or what comes out is right; nothing is left behind, and memory is bounded.

    python tests/benchmarks/hostile_archives.py KIND MUTATIONS

tries one kind in this process, whose address space is limited, and prints what came of it as JSON. Half of the
mutations keep the format's own checksums right, so that what they hide is tried as well.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from archive_kinds import KINDS, Kind
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rows import Row

from tasks.data.archives import unpacking
from tasks.data.archives.entries import ArchiveLimits
from tasks.data.archives.unpacking import unpack
from tasks.errors import DataError

LIMITS = ArchiveLimits(entries=2000, total_bytes=64 << 20, name_characters=1 << 20, header_bytes=16 << 20)
MUTATIONS_EACH = 500
MEMORY_BYTES, GROWTH_MIB = 2 << 30, 600
Change = tuple[str, int, int, bytes]
INTERESTING = (b"\0" * 8, b"\xff" * 8, b"\x80" + b"\0" * 7, b"\x7f" + b"\xff" * 7, b"-9999999", b"77777777", b"../../x")


@st.composite
def mutations(draw: st.DrawFn) -> tuple[list[Change], bool]:
    """What is changed, at shares of the archive in millionths, and whether sums are made right afterwards."""
    place = st.integers(0, 999_999)
    data = st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from(INTERESTING))
    actions = st.sampled_from(("over", "over", "over", "flip", "in", "out", "copy", "cut"))
    length = st.integers(1, 600)
    return draw(st.lists(st.tuples(actions, place, length, data), min_size=1, max_size=4)), draw(st.booleans())


def mutated(whole: bytes, changes: list[Change]) -> bytes:
    for action, share, length, data in changes:
        at = share * len(whole) // 1_000_000
        before, behind = whole[:at], whole[at:]
        whole = {
            "over": before + data + behind[len(data) :],
            "flip": before + bytes(byte ^ data[0] for byte in behind[:1]) + behind[1:],
            "in": before + data + behind,
            "out": before + behind[length:],
            "copy": before + behind[:length] + behind,
            "cut": before,
        }[action]
    return whole


@dataclass
class Tally:
    """What came of the mutations of a kind."""

    refused: int = 0
    unpacked: int = 0
    wrong: list[str] = field(default_factory=list)


def try_one(kind: Kind, changes: list[Change], repair: bool, folder: Path, tally: Tally) -> None:
    """Unpack a mutated archive in an empty folder and note what is wrong with what is there afterwards."""
    archive, out = folder / "archive", folder / "unpacked"
    inner, whole = changed(kind, changes, repair and kind.repaired is not None)
    archive.write_bytes(whole)
    found = ""
    try:
        unpack(archive, out, LIMITS)
    except DataError as error:
        tally.refused += 1
        found = "refused in several lines" if "\n" in str(error) else ""
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    else:
        tally.unpacked += 1
        found = wrong_content(out, kind, inner)
        shutil.rmtree(out)
    if left := [path.name for path in folder.iterdir() if path != archive]:
        found += f" left behind: {left}"
    if found:
        tally.wrong.append(f"{found}: {changes} {repair}")


def changed(kind: Kind, changes: list[Change], repair: bool) -> tuple[bytes | None, bytes]:
    """A mutated archive, behind the bytes that its files must stand in; None if they must be the valid ones."""
    pack = kind.packed or bytes
    if repair and kind.repaired:
        inner = kind.repaired(mutated(kind.whole, changes))
        return inner, pack(inner)
    whole = mutated(pack(kind.whole), changes)
    return (None if kind.proven else whole), whole


def wrong_content(out: Path, kind: Kind, stored: bytes | None) -> str:
    """What of an unpacked folder is not as it was packed."""
    if any(path.is_symlink() for path in out.rglob("*")):
        return "a link came out"
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    if stored is None:
        return "" if found == kind.files else f"other files came out ({sorted(found)})"
    known = set(kind.files.values())
    strange = [name for name, data in found.items() if data not in known and data not in stored]
    return f"what is not in the archive came out ({strange})" if strange else ""


def try_kind(name: str, number: int) -> dict[str, object]:
    """Try mutations of one kind in this process, whose address space is limited from here on."""
    # each in a process of its own would take hours; this one is limited as theirs is
    unpacking.IN_CHILD = frozenset()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    tally, kind = Tally(), KINDS[name]
    with tempfile.TemporaryDirectory(prefix="rsvlm-hostile-") as place:
        try_one(kind, [], False, Path(place), tally)
        assert (tally.unpacked, tally.wrong) == (1, []), tally
        tally.unpacked, before = 0, peak_bytes()

        # other mutations for each kind, and the same in each run
        @seed(zlib.crc32(name.encode()))
        @settings(
            max_examples=number, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(mutations())
        def try_mutation(drawn: tuple[list[Change], bool]) -> None:
            try_one(kind, *drawn, Path(place), tally)

        try_mutation()
    growth_mib = (peak_bytes() - before) >> 20
    counts = {"refused": tally.refused, "unpacked": tally.unpacked, "growth_mib": growth_mib}
    return counts | {"wrong": len(tally.wrong), "first_wrong": tally.wrong[:5]}


def peak_bytes() -> int:
    """The most memory that this program has had; what getrusage says begins with that of the parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def mutated_archives(folder: Path) -> list[Row]:
    """Mutations of all kinds that were neither refused nor right, and the largest growth of memory in MiB."""
    results = []
    for name in KINDS:
        command = [sys.executable, __file__, name, str(MUTATIONS_EACH)]
        results.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
        print(f"  {name}: {results[-1]}", flush=True)
    wrong = Row(f"mutated archives of {len(KINDS)} kinds: wrong", sum(found["wrong"] for found in results), "<= 0")
    grown = max(found["growth_mib"] for found in results)
    return [wrong, Row("mutated archives: memory in MiB", grown, f"<= {GROWTH_MIB}")]


if __name__ == "__main__":
    print(json.dumps(try_kind(sys.argv[1], int(sys.argv[2]))))
