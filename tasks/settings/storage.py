"""The sections `archive` and `store`: checkpoints to keep, and where to keep them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tasks.settings.base import Section
from tasks.store_kinds import store_examples, store_pattern


class KeepRule(Section):
    """Checkpoints to keep: those that match any of the rules, and always the newest."""

    last: int | None = Field(
        None, ge=1, description="Keep the newest N checkpoints. If all three rules are empty, every checkpoint is kept."
    )
    every_steps: int | None = Field(None, ge=1, description="Keep checkpoints whose step is a multiple of N.")
    best: bool = Field(
        False, description="Keep the checkpoint with the lowest validation loss; needs training.eval_strategy."
    )


class ArchiveConfig(Section):
    """Checkpoints to upload to the store, and checkpoints to keep."""

    checkpoints: bool = Field(True, description="Upload every checkpoint to the store as soon as it is complete.")
    optimizer_states: bool = Field(
        True,
        description="Include optimizer states, the large files that are only needed to resume; off: archived "
        "checkpoints can be merged and served, but not resumed.",
    )
    keep: KeepRule = Field(KeepRule(), description="Checkpoints that stay in the store.")
    keep_local: KeepRule = Field(
        KeepRule(),
        description="Checkpoints that stay on disk after training; only checkpoints that are complete in the store "
        "are deleted. During training, training.save_total_limit applies.",
    )
    score_images: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Validation images per source on which every archived checkpoint is scored; 0: do not score "
        "checkpoints.",
    )

    @model_validator(mode="after")
    def _scoring_needs_the_archive(self) -> "ArchiveConfig":
        if self.score_images and not self.checkpoints:
            raise ValueError(
                f"score_images is {self.score_images}, but only archived checkpoints are scored: "
                "set checkpoints to true"
            )
        return self


class StoreConfig(Section):
    """Object storage for checkpoints, models and results."""

    uri: str | None = Field(
        None,
        pattern=store_pattern(),
        description=f"{store_examples()}, without credentials. Empty: the folder `store` of the workspace.",
    )
    endpoint_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@]+(/[^?#@]*)?$",
        description="http or https URL of an S3-compatible server, without credentials. Empty: AWS.",
    )
    region: str | None = Field(None, description="Region of the bucket. Empty: the region of the AWS configuration.")
    ca_bundle: Path | None = Field(
        None, description="File with the CA certificates of the server. Empty: those of the AWS configuration."
    )
    addressing: Literal["auto", "path", "virtual"] = Field(
        "auto",
        description="Position of the bucket name in URLs: path, or virtual for the host name; auto: virtual on AWS, "
        "path elsewhere.",
    )
    credentials_block: str | None = Field(
        None,
        pattern=r"^(aws-credentials|s3-bucket)/[a-z0-9-]+$",
        description="Prefect block with the credentials: aws-credentials/NAME or s3-bucket/NAME. Empty: the AWS "
        "configuration of each machine.",
    )
    part_mib: int = Field(16, ge=5, le=5120, description="Part size of multipart uploads in MiB.")
    parts_in_flight: int = Field(8, ge=1, le=64, description="Parts that are uploaded at the same time.")
    bandwidth_mib_s: float | None = Field(
        None, gt=0, description="Upload limit in MiB per second, for all parts together. Empty: no limit."
    )
    read_back: bool = Field(
        False,
        description="Read every file back after uploading it, for servers whose checksums are unreliable.",
    )
