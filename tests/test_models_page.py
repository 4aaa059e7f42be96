"""docs/models.md says of each family what its code says."""

from support.locations import REPO

from tasks.model.chat.family import ChatFamily
from tasks.model.families import families
from tasks.model.family import ModelFamily

FULL = {"text_config": {"layer_types": ["full_attention"]}}


def row_of(family: ModelFamily) -> str:
    types = family.model_types if isinstance(family, ChatFamily) else ("llava", "llava_llama")
    cells = (
        family.name,
        ", ".join(f"`{kind}`" for kind in types),
        "yes",
        "yes" if family.shares_prefix(FULL) else "no",
        "yes" if family.several_images else "no",
        ", ".join(family.layouts),
    )
    return f"| {' | '.join(cells)} |"


def test_the_table_has_a_row_for_each_family() -> None:
    page = (REPO / "docs" / "models.md").read_text(encoding="utf-8")
    rows = [line for line in page.split("\n") if line.startswith("| ") and not line.startswith("| family")]
    assert rows == [row_of(family) for family in families()]
