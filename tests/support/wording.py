"""Find banned phrases (tests/banned_phrases.txt) in code, docs and templates; part of `make check`.

python tests/support/wording.py
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PHRASES = REPO / "tests" / "banned_phrases.txt"
FOLDERS = ("flows", "tasks", "deployments", "infra", "docs", "tests")
KINDS = (".py", ".md", ".yaml", ".j2")
# text goes on in the next line of a comment and in the next part of a string
CONTINUATION = re.compile(r'"\s*\n\s*[rf]?"|\n\s*# ?')


def read_phrases(text: str) -> list[tuple[re.Pattern[str], str]]:
    """The phrases of the list, as patterns, and what to write instead."""
    lines = (line for line in text.split("\n") if line and not line.startswith("#"))
    pairs = (line.split(" -> ") for line in lines)
    return [(re.compile(phrase.replace(" ", r"\s+"), re.IGNORECASE), instead) for phrase, instead in pairs]


def find_phrases(text: str, phrases: list[tuple[re.Pattern[str], str]]) -> list[tuple[int, str, str]]:
    """Line number, phrase and replacement of every banned phrase, in order."""
    joined = CONTINUATION.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    found = [(match, instead) for pattern, instead in phrases for match in pattern.finditer(joined)]
    return sorted((joined.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), it) for match, it in found)


def files() -> Iterator[Path]:
    """All files to search; links are skipped, since their targets are searched."""
    below = (path for name in FOLDERS for path in sorted((REPO / name).rglob("*")))
    for path in (*sorted(REPO.glob("*")), *below):
        if path.suffix in KINDS and path.is_file() and not path.is_symlink():
            yield path


def main() -> int:
    phrases, count = read_phrases(PHRASES.read_text(encoding="utf-8")), 0
    for path in files():
        for line, phrase, instead in find_phrases(path.read_text(encoding="utf-8"), phrases):
            print(f"{path.relative_to(REPO)}:{line}: {phrase!r}: write {instead}")
            count += 1
    if count:
        print(f"{count} banned phrases: see {PHRASES.relative_to(REPO)}", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
