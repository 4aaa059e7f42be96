"""Rows of CSV, TSV and Excel tables with a header."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from tasks.errors import DataError, UserError
from tasks.evaluation.answers.given import IDS, IMAGE, Row

# questionId and imageId
KNOWN = {name.lower(): name for name in (*IDS, *IMAGE)}
TAB, COMMA, SEMICOLON = "\t", ",", ";"
TABLE_SUFFIXES = frozenset((".csv", ".tsv", ".xlsx"))
# an image in base64 in one cell
MOST_CELL_CHARACTERS = 1 << 28


def iterate_table(path: Path) -> Iterator[tuple[str, Row]]:
    """The rows of a table by column, each with its location; an empty cell is None.

    Raises DataError for a table without rows or with a row of other columns, and UserError if openpyxl is missing.
    """
    rows = _excel_rows(path) if path.suffix.lower() == ".xlsx" else _text_rows(path)
    header = _known_names([str(name or "").strip() for name in next(rows, (1, ()))[1]])
    if not any(header):
        raise DataError(f"{path} has no header: write the names of the columns into its first row.")
    for number, cells in rows:
        if len(cells) > len(header):
            raise DataError(
                f"{path}, row {number} has {len(cells)} cells, the header {len(header)}: put texts with a separator or "
                "a line break in quotes."
            )
        values = {name: None if cell in (None, "") else cell for name, cell in zip(header, cells, strict=False)}
        if any(value is not None for value in values.values()):
            yield f"row {number}", values


def _known_names(header: list[str]) -> list[str]:
    """The columns by the names that are looked for, such as id for ID; those that differ only in case stay."""
    names = Counter(name.lower() for name in header)
    return [KNOWN.get(name.lower(), name.lower()) if names[name.lower()] == 1 else name for name in header]


def _text_rows(path: Path) -> Iterator[tuple[int, Sequence[object]]]:
    csv.field_size_limit(MOST_CELL_CHARACTERS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=_separator(path, first), strict=True)
            yield from ((reader.line_num, cells) for cells in reader if cells)
    except UnicodeDecodeError:
        raise DataError(f"{path} is not in UTF-8: save it again as CSV in UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{path} is not a valid table ({error}): write it again with each text in quotes.") from None


def _separator(path: Path, first: str) -> str:
    if path.suffix.lower() == ".tsv" or (TAB in first and COMMA not in first):
        return TAB
    # what spreadsheets write where the comma is the decimal sign
    return SEMICOLON if SEMICOLON in first and COMMA not in first else COMMA


def _excel_rows(path: Path) -> Iterator[tuple[int, Sequence[object]]]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise UserError(
            f"{path} is an Excel table, which needs openpyxl: install it with `pip install 'rsvlm[tables]'`, or save "
            "the table as CSV."
        ) from None
    # each of the libraries that it reads with has errors of its own
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except Exception as error:
        raise DataError(f"{path} cannot be read as an Excel table ({error}): save it again, or as CSV.") from None
    with closing(book):
        rows = enumerate(book.worksheets[0].iter_rows(values_only=True), 1)
        yield from ((number, cells) for number, cells in rows if any(cell is not None for cell in cells))
