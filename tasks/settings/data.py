"""Settings of the data: where it comes from, what of it is kept, and how it is divided."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from tasks.secret_addresses import PLAIN_ADDRESS, require_no_secret
from tasks.settings.base import Section

Protocol = Literal["grouped", "reference"]
# a set that is always empty would end every run
Fraction = Annotated[float, Field(gt=0, le=1)]
# in the schema too: Prefect's server refuses an address with a secret before it stores it
Address = Annotated[str, WithJsonSchema({"type": "string", "pattern": PLAIN_ADDRESS})]


class SampleConfig(Section):
    """The embedded sample data: overhead scenes that rsvlm draws itself."""

    scenes: int = Field(400, ge=20, le=20_000, description="Scenes to draw.")
    image_size: int = Field(64, ge=48, le=256, description="Side of a scene in pixels.")
    seed: int = Field(28, ge=0, description="Seed of the drawing.")


class DataConfig(Section):
    """Where the data is and how it is divided."""

    # where the data comes from says nothing of what it is
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"root", "sample", "fetch", "archives", "mirrors"})

    root: Path | None = Field(
        None,
        description="Data folder with instructions_raw.json or dataset.json and imagenes/. "
        "Empty: draw the embedded sample data in the workspace.",
    )
    sample: SampleConfig = Field(SampleConfig(), description="The sample that is drawn when root is empty.")
    sources: tuple[str, ...] = Field(
        ("NWPU", "RSICD", "LR", "DOTA"),
        min_length=1,
        description="Sources whose records are kept, by their names in tasks/sources.py; also known: UCM, UAV, "
        "and the next one.",
    )
    unnamed_source: str = Field(
        "unnamed",
        min_length=1,
        description="Name of the source of images whose paths have no folder, such as P0000_0002.png.",
    )
    fetch: bool = Field(
        False, description="Fetch what the data folder lacks, from the sources' origins or as the next two say."
    )
    archives: dict[str, Address | tuple[Address, ...]] = Field(
        {},
        description="What you have of a source: path or address of its archive or folder, or a list of them, by name; "
        "instructions: of the instruction file. ${NAME} in it is read from the environment where the run works.",
    )
    mirrors: dict[str, Address | tuple[Address, ...]] = Field(
        {},
        description="Where a source is tried first: https, s3, hf or file address, or a list of them, by name; with "
        "${NAME} for what is secret.",
    )
    train: Fraction = Field(0.7, description="Share of each source for training.")
    test: Fraction = Field(0.2, description="Share of each source for the test; the rest validates.")
    seed: int = Field(28, ge=0, description="Seed of the split and of the reduction.")
    protocol: Protocol = Field(
        "grouped",
        description="grouped: all records of one image in one set. reference: the partition of the reference "
        "scripts, by record.",
    )
    broken_images: Literal["refuse", "drop"] = Field(
        "refuse", description="What an image that is no image does: end the run, or drop its records, counted."
    )
    record_faults: Literal["repair", "drop"] = Field(
        "repair",
        description="What a record with a fault does (`<image>` missing or doubled, roles out of order or "
        "other than human and gpt, an empty answer, an id twice): it is mended, or dropped; both counted.",
    )
    near_duplicates: Literal["together", "ignore"] = Field(
        "together",
        description="Images that show the same: kept in one set by the grouped protocol, or not looked for.",
    )
    subset_size: int = Field(150, ge=1, description="Records of the test set a subset, in sets/filter.")
    test_ratio: float = Field(1.0, gt=0, le=1, description="Share of the test set that is answered.")

    @property
    def content(self) -> dict[str, Any]:
        """What decides the sets of given records and images."""
        return self.model_dump(mode="json", exclude=set(self.LOCATIONS))

    @field_validator("archives", "mirrors")
    @classmethod
    def _no_secrets(cls, given: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
        for addresses in given.values():
            for address in (addresses,) if isinstance(addresses, str) else addresses:
                require_no_secret(address)
        return given

    @model_validator(mode="after")
    def _shares_fit(self) -> "DataConfig":
        if self.train + self.test > 1 + 1e-9:
            raise ValueError(f"train {self.train} and test {self.test} make more than 1: lower one of them")
        return self
