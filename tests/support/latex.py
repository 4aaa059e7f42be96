"""A strict reader of the LaTeX that rsvlm writes: braces, environments, special characters, columns of tables."""

import re
import shutil
import subprocess
from pathlib import Path

DOCUMENT = r"\documentclass[twocolumn]{article}\usepackage{booktabs}\begin{document}\input{table}\end{document}"
# of a row: rules and space, which have no cells
RULES = re.compile(r"\\(toprule|midrule|bottomrule)|\\addlinespace\[2pt\]")


def read_tables(text: str) -> list[list[list[str]]]:
    """The cells of each tabular, row by row; a cell of several columns is repeated.

    Fails where braces or environments do not match, a row has another number of cells than the table has columns, or a
    special character outside math and arguments is not escaped.
    """
    text = "\n".join(line for line in text.split("\n") if not line.startswith("%"))
    _check_braces(text)
    _check_environments(text)
    _check_special_characters(text)
    return [_rows(*match.groups()) for match in re.finditer(r"\\begin{tabular}{(\w+)}(.*?)\\end{tabular}", text, re.S)]


def _check_braces(text: str) -> None:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0, "} without {"
    assert depth == 0, "{ without }"


def _check_environments(text: str) -> None:
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end){([^}]*)}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []


def _check_special_characters(text: str) -> None:
    outside = re.sub(r"\$[^$]*\$|\\[^A-Za-z]", "", text.replace(r"\caption{%", r"\caption{"))
    assert re.findall(r"[$%#_^~<>|\"]", outside) == []
    assert "&" not in re.sub(r"\\begin{tabular}.*?\\end{tabular}", "", outside, flags=re.S)


def _rows(columns: str, body: str) -> list[list[str]]:
    *rows, rest = re.split(r"\\\\(?=\n)", RULES.sub("", body))
    assert rest.strip() == "", "a row without an end"
    found = [_cells(row) for row in rows]
    assert {len(row) for row in found} == {len(columns)}
    return found


def _cells(row: str) -> list[str]:
    cells = [cell.strip() for cell in re.split(r"(?<!\\)&", row)]
    if wide := re.fullmatch(r"\\multicolumn{(\d+)}{l}{(.*)}", cells[0]):
        return [wide[2]] * int(wide[1])
    # as an argument of the row before
    assert not cells[0].startswith(("[", "*"))
    return cells


def compile_latex(text: str, folder: Path) -> str | None:
    """The log of pdflatex for a paper with this table, which must compile; None if it is not installed."""
    if shutil.which("pdflatex") is None:
        return None
    (folder / "table.tex").write_text(text, encoding="utf-8")
    (folder / "paper.tex").write_text(DOCUMENT, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / "paper.pdf").stat().st_size > 1000
    return done.stdout
