"""Settings of the data: its source, its filters and its split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tasks.choices import SplitProtocol
from tasks.settings.base import Section
from tasks.settings.custom_source import Addresses, CustomSource, require_distinct, require_plain
from tasks.sources import DEFAULT_SOURCES, SOURCES, UNNAMED

OTHER_SOURCES = ", ".join(name for name in SOURCES if name not in DEFAULT_SOURCES)
# a share of 0 would end every run: a set would be empty
Fraction = Annotated[float, Field(gt=0, le=1)]


class SampleConfig(Section):
    """Sample data: overhead scenes that rsvlm draws itself."""

    scenes: int = Field(400, ge=20, le=20_000, description="Number of scenes to draw.")
    image_size: int = Field(64, ge=48, le=256, description="Side of a scene in pixels.")
    seed: int = Field(28, ge=0, description="Random seed of the scenes.")


class DataConfig(Section):
    """Location, filters and split of the data."""

    # fields that do not change the content of the data
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"root", "sample", "fetch", "archives", "mirrors", "image_root"})

    root: Path | None = Field(
        None,
        description="Data folder with instructions_raw.json or dataset.json and imagenes/. Empty: draw sample data in "
        "the workspace.",
    )
    sample: SampleConfig = Field(SampleConfig(), description="Sample data that is drawn if root is empty.")
    sources: tuple[str, ...] = Field(
        DEFAULT_SOURCES,
        min_length=1,
        description=f"Sources whose records are kept, by their names in tasks/sources.py; {OTHER_SOURCES}, those in "
        "custom_sources and the name in unnamed_source are also known.",
    )
    custom_sources: tuple[CustomSource, ...] = Field(
        (), description="Sources of your own, a section for each; sources must name those to be used."
    )
    unnamed_source: str = Field(
        UNNAMED,
        min_length=1,
        description="Source name for images whose paths have no folder, such as P0000_0002.png.",
    )
    image_root: dict[str, Path] = Field(
        {},
        description="Folders elsewhere, by source name, each instead of imagenes/SOURCE; absolute image paths inside "
        "them are valid, too.",
    )
    fetch: bool = Field(
        False,
        description="Download what the data folder lacks, from the sources' own servers or from archives and mirrors.",
    )
    archives: dict[str, Addresses] = Field(
        {},
        description="Local copies by source name: path or URL of an archive or folder, or a list of them; the name "
        "`instructions` stands for the instruction file. ${NAME} is replaced by the environment variable "
        "on the machine of the run.",
    )
    mirrors: dict[str, Addresses] = Field(
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
    text_only: Literal["drop", "train"] = Field(
        "drop",
        description="Records without an image: drop and count them, or train on them; they are never in the "
        "validation and test sets.",
    )
    max_images: int = Field(
        1,
        ge=1,
        le=16,
        description="Maximum number of images in a record. Records with several are trained, by models that take "
        "several, and are never in the validation and test sets.",
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
        return self.without_locations(self.model_dump(mode="json"))

    @classmethod
    def without_locations(cls, settings: Mapping[str, object]) -> dict[str, object]:
        """Plain settings of the data without the locations of records and images."""
        kept = {name: value for name, value in settings.items() if name not in cls.LOCATIONS}
        # as for sets from before there was `max_images`
        if kept.get("max_images") == 1:
            del kept["max_images"]
        own = kept.get("custom_sources")
        if isinstance(own, list):
            facts = [{name: value for name, value in source.items() if name != "images"} for source in own]
            kept["custom_sources"] = facts
        return kept

    @property
    def custom_names(self) -> tuple[str, ...]:
        """The names of the user's own sources."""
        return tuple(source.name for source in self.custom_sources)

    @field_validator("archives", "mirrors")
    @classmethod
    def _no_secrets(cls, given: dict[str, Addresses]) -> dict[str, Addresses]:
        for addresses in given.values():
            require_plain(addresses)
        return given

    @model_validator(mode="after")
    def _names_differ(self) -> "DataConfig":
        require_distinct(self.custom_sources)
        return self

    @model_validator(mode="after")
    def _shares_fit(self) -> "DataConfig":
        if self.train + self.test > 1 + 1e-9:
            raise ValueError(f"train {self.train} and test {self.test} add up to more than 1: lower one of them")
        return self
