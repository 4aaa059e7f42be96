"""The sections `archive` and `store`: which checkpoints are kept for good, and where."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tasks.settings.base import Section
from tasks.store_kinds import store_examples, store_pattern


class KeepRule(Section):
    """Which checkpoints are kept; one that any of the rules names stays, and the newest always does."""

    last: int | None = Field(None, ge=1, description="The newest N; all three empty: every checkpoint.")
    every_steps: int | None = Field(None, ge=1, description="Those whose step is a multiple of N.")
    best: bool = Field(False, description="The one of the lowest validation loss; needs training.eval_strategy.")


class ArchiveConfig(Section):
    """Which checkpoints go to the store, what of them, and which stay."""

    checkpoints: bool = Field(True, description="Copy every checkpoint to the store as soon as it is complete.")
    optimizer_states: bool = Field(
        True,
        description="With the large files that only resuming needs; off: checkpoints in the store can be merged and "
        "served, not resumed.",
    )
    keep: KeepRule = Field(KeepRule(), description="Which checkpoints stay in the store.")
    keep_local: KeepRule = Field(
        KeepRule(),
        description="Which checkpoints stay on the disk when a training has ended; only what is whole in the store is "
        "removed. While it trains, training.save_total_limit counts.",
    )
    score_images: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Images a source of the validation set by which every archived checkpoint is scored; 0: none.",
    )

    @model_validator(mode="after")
    def _archived_ones_are_scored(self) -> "ArchiveConfig":
        if self.score_images and not self.checkpoints:
            raise ValueError(f"score_images is {self.score_images}, of archived checkpoints: set checkpoints to true")
        return self


class StoreConfig(Section):
    """Where checkpoints, models and results are kept for good."""

    uri: str | None = Field(
        None,
        pattern=store_pattern(),
        description=f"{store_examples()}, without a login; empty: the folder `store` of the workspace.",
    )
    endpoint_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@]+(/[^?#@]*)?$",
        description="http or https address of an S3-compatible server, without a login; empty: AWS.",
    )
    region: str | None = Field(None, description="Region of the bucket; empty: as AWS tools are set.")
    ca_bundle: Path | None = Field(None, description="File with the CA of the server; empty: as AWS tools are set.")
    addressing: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Where the bucket's name stands in addresses; auto: in the path, at AWS in the host."
    )
    credentials_block: str | None = Field(
        None,
        pattern=r"^(aws-credentials|s3-bucket)/[a-z0-9-]+$",
        description="Prefect block with the credentials, aws-credentials/NAME or s3-bucket/NAME; empty: where AWS "
        "tools look.",
    )
    part_mib: int = Field(16, ge=5, le=5120, description="Size of the parts of large files in MiB.")
    parts_in_flight: int = Field(8, ge=1, le=64, description="Parts that are sent at the same time.")
    bandwidth_mib_s: float | None = Field(
        None, gt=0, description="Most MiB a second that are sent, by all parts together; empty: no limit."
    )
    read_back: bool = Field(
        False,
        description="Read every file back after sending it, where the server's own checksums are not to be trusted.",
    )
