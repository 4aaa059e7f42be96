"""`rsvlm data import` and `rsvlm data convert`: data sets of other tools, to records and back."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from tasks.choices import ExportFormat, ImportFormat

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from tasks.data.set_files import WrittenFile

    Subparsers = _SubParsersAction[argparse.ArgumentParser]

IMPORTED, EXPORTED = get_args(ImportFormat), get_args(ExportFormat)


def add_actions(actions: "Subparsers") -> None:
    """Add `import` and `convert`."""
    parser = actions.add_parser("import", help="import a data set of another tool", description=run_import.__doc__)
    parser.add_argument(
        "files",
        nargs="+",
        metavar="[FORMAT] FILE",
        help=f"files of the data set; before them its format, {', '.join(IMPORTED)}, is recognised where left out",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DATASET.json", help="file to write")
    parser.add_argument(
        "--source",
        metavar="NAME",
        help="source of the images, the first folder of their paths (default: the one of the format, or none)",
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="folder that image paths start from, to look for missing images"
    )
    parser.set_defaults(run=run_import)
    parser = actions.add_parser("convert", help="write records for another tool", description=run_convert.__doc__)
    parser.add_argument("dataset", type=Path, metavar="DATASET.json", help="instruction file")
    parser.add_argument("format", choices=EXPORTED, help="format to write")
    parser.add_argument("out", type=Path, metavar="OUT", help="file to write; with hf, a folder")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder that image paths start from, for hf (default: that of the import, imagenes next to DATASET.json)",
    )
    parser.set_defaults(run=run_convert)


def run_import(options: argparse.Namespace) -> None:
    """Write the records of a data set of another tool, and a manifest that counts what is lost, by reason."""
    from tasks.data.importing.import_files import ImportRequest, import_files
    from tasks.errors import ConfigError

    first, *others = options.files
    format = name if (name := first.lower()) in IMPORTED else None
    files = tuple(map(Path, others if format else options.files))
    if not format and not Path(first).suffix and not Path(first).exists():
        raise ConfigError(
            f"{first} is neither a file nor a format: give one of {', '.join(IMPORTED)} before the files, or leave the "
            "format out."
        )
    if not files:
        raise ConfigError(f"There are no files after {first}: give those of the data set, or ./{first} for a file.")
    imported = import_files(ImportRequest(files, options.out, format, options.source, options.images))
    print(f"read as {imported.format}")
    print_written([imported.file])
    for reason, number in imported.repaired.items():
        print(f"  repaired {number}: {reason}")
    if imported.missing.number:
        print(f"  missing {imported.missing.number} images in {options.images}: {', '.join(imported.missing.first)}")


def run_convert(options: argparse.Namespace) -> None:
    """Write the records of an instruction file in the format of another tool; what that cannot hold is counted."""
    from tasks.data.exporting.convert import convert_file

    converted = convert_file(options.dataset, options.format, options.out, options.images)
    print(f"{converted.path}: {converted.written}")
    for reason, number in converted.lost.items():
        print(f"  lost {number}: {reason}")


def print_written(files: Iterable["WrittenFile"]) -> None:
    """Print each file with its records by source, then the questions by source and what was dropped."""
    from tasks.turn_tasks import describe_tasks, sum_counts

    dropped: Mapping[str, int] = {}
    noticed: dict[str, int] = {}
    tasks = []
    for written in files:
        state = "written" if written.new else "kept: already written from the same input and settings"
        kept = ", ".join(f"{source} {number}" for source, number in written.kept.items()) or "no records"
        print(f"{written.path}: {kept} ({state})")
        dropped = written.dropped
        noticed |= written.noticed
        tasks.append(written.tasks)
    for line in describe_tasks(sum_counts(tasks)):
        print(f"  {line}")
    for reason, number in dropped.items():
        print(f"  dropped {number}: {reason}")
    for reason, number in noticed.items():
        print(f"  noticed {number}: {reason}")
