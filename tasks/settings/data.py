"""Settings of the data: its source, its filters and its split."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from tasks.choices import SplitProtocol
from tasks.secret_addresses import PLAIN_ADDRESS, require_no_secret
from tasks.settings.base import Section
from tasks.sources import DEFAULT_SOURCES, SOURCES, UNNAMED

OTHER_SOURCES = ", ".join(name for name in SOURCES if name not in DEFAULT_SOURCES)
# a share of 0 would end every run: a set would be empty
Fraction = Annotated[float, Field(gt=0, le=1)]
# the schema has a pattern too, so that Prefect's server refuses a URL with a secret before storing it
Address = Annotated[str, WithJsonSchema({"type": "string", "pattern": PLAIN_ADDRESS})]


class SampleConfig(Section):
    """Sample data: overhead scenes that rsvlm draws itself."""

    scenes: int = Field(400, ge=20, le=20_000, description="Number of scenes to draw.")
    image_size: int = Field(64, ge=48, le=256, description="Side of a scene in pixels.")
    seed: int = Field(28, ge=0, description="Random seed of the scenes.")


class DataConfig(Section):
    """Location, filters and split of the data."""

    # fields that do not change the content of the data
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"root", "sample", "fetch", "archives", "mirrors"})

    root: Path | None = Field(
        None,
        description="Data folder with instructions_raw.json or dataset.json and imagenes/. Empty: draw sample data in "
        "the workspace.",
    )
    sample: SampleConfig = Field(SampleConfig(), description="Sample data that is drawn if root is empty.")
    sources: tuple[str, ...] = Field(
        DEFAULT_SOURCES,
        min_length=1,
        description=f"Sources whose records are kept, by their names in tasks/sources.py; {OTHER_SOURCES} and the name "
        "in unnamed_source are also known.",
    )
    unnamed_source: str = Field(
        UNNAMED,
        min_length=1,
        description="Source name for images whose paths have no folder, such as P0000_0002.png.",
    )
    fetch: bool = Field(
        False,
        description="Download what the data folder lacks, from the sources' own servers or from archives and mirrors.",
    )
    archives: dict[str, Address | tuple[Address, ...]] = Field(
        {},
        description="Local copies by source name: path or URL of an archive or folder, or a list of them; the name "
        "`instructions` stands for the instruction file. ${NAME} is replaced by the environment variable "
        "on the machine of the run.",
    )
    mirrors: dict[str, Address | tuple[Address, ...]] = Field(
        {},
        description="URLs to try first, by source name: https, s3, hf or file, or a list of them. Write ${NAME} for "
        "secrets.",
    )
    train: Fraction = Field(0.7, description="Share of each source for training.")
    test: Fraction = Field(0.2, description="Share of each source for testing; the rest is for validation.")
    seed: int = Field(28, ge=0, description="Random seed of the split and of the reduced test set.")
    protocol: SplitProtocol = Field(
        "grouped",
        description="grouped: all records of an image are in the same set. reference: split by record, as the "
        "reference scripts do. own: the data set's own split, from the field `split` of its records; train and test "
        "are ignored.",
    )
    broken_images: Literal["refuse", "drop"] = Field(
        "refuse", description="Images that cannot be read: refuse ends the run, drop removes and counts their records."
    )
    record_faults: Literal["repair", "drop"] = Field(
        "repair",
        description="Malformed records (`<image>` missing or repeated, roles out of order or other than human and "
        "gpt, an empty answer, a repeated id): repair or drop them. Both are counted.",
    )
    near_duplicates: Literal["together", "ignore"] = Field(
        "together",
        description="Near-duplicate images: together keeps them in the same set (protocol grouped only), ignore skips "
        "the search.",
    )
    subset_size: int = Field(150, ge=1, description="Test records per subset file in sets/filter.")
    test_ratio: float = Field(1.0, gt=0, le=1, description="Share of the test set that is answered.")

    @property
    def content(self) -> dict[str, object]:
        """The fields that determine the sets, given records and images."""
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
            raise ValueError(f"train {self.train} and test {self.test} add up to more than 1: lower one of them")
        return self
