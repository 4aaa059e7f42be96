"""The check for banned phrases finds them across line breaks and passes plain English."""

from support.wording import PHRASES, find_phrases, read_phrases

BANNED = read_phrases(PHRASES.read_text(encoding="utf-8"))


def test_a_phrase_is_found_across_lines_comments_and_string_parts() -> None:
    # assembled here, so that the check does not find them in this file
    text = (
        "x = 1\n# the key stan" + "ds\n# below\n" + 'y = (\n    "cannot "\n    f"be h' + 'ad"\n)\nIt is to be h' + "ad."
    )
    assert [(line, phrase) for line, phrase, _ in find_phrases(text, BANNED)] == [
        (2, "stan" + "ds below"),
        (5, "cannot be h" + "ad"),
        (8, "to be h" + "ad"),
    ]


def test_plain_english_passes() -> None:
    text = "There is no file here. The letter N stands for a number. A whole number. Two samples per device."
    assert find_phrases(text, BANNED) == []
