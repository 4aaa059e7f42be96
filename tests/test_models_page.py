"""docs/models.md says of each family what its code says."""

from support.locations import REPO

from tasks.model.chat.family import ChatFamily
from tasks.model.families import families
from tasks.model.family import ModelFamily

FULL = {"text_config": {"layer_types": ["full_attention"]}}


def yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def row_of(family: ModelFamily) -> str:
    types = family.model_types if isinstance(family, ChatFamily) else ("llava", "llava_llama")
    cells = (
        family.name,
        ", ".join(f"`{kind}`" for kind in types),
        # every family is trained, and its models are merged and answer: tests/tasks/model/chat
        *map(yes_or_no, (True, family.zero3, True, True)),
        *map(yes_or_no, (family.shares_prefix(FULL), family.several_images, family.vllm)),
    )
    return f"| {' | '.join(cells)} |"


def test_the_table_has_a_row_for_each_family() -> None:
    page = (REPO / "docs" / "models.md").read_text(encoding="utf-8")
    table = page.partition("| family |")[2].partition("\n\n")[0]
    rows = table.split("\n")[2:]
    assert rows == [row_of(family) for family in families()]


def test_layouts_besides_that_of_transformers_are_those_of_llava() -> None:
    assert {family.name for family in families() if "llava" in family.layouts} == {"LLaVA 1.5"}
