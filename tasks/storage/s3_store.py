"""A store in a bucket of S3 or of a server that speaks its language. The only file that imports boto3.

Credentials, region, CA and session tokens come from boto3's usual chain and are never part of a message.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
)

from tasks.errors import StoreError
from tasks.files import CHUNK_BYTES, sha256_of, written_atomically

PART_BYTES = 16 << 20
PARTS_IN_FLIGHT = 8
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
# 412: there is one; 409: another writer is creating it at this moment
TAKEN = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})
WAYS_OUT = {
    "NoSuchBucket": "the bucket does not exist: create it, or correct store.uri",
    "AccessDenied": "access is denied: give these credentials list, read and write rights",
    "403": "access is denied: give these credentials list, read and write rights",
    "InvalidAccessKeyId": "the access key is unknown there: set the right credentials",
    "SignatureDoesNotMatch": "the secret key is wrong: set the right credentials",
    "ExpiredToken": "the session token has expired: fetch a new one",
    "RequestTimeTooSkewed": "this machine's clock is off: set it, then do the same again",
}


class S3Store:
    """Objects of `bucket` below `prefix`; `endpoint_url` None: AWS, or what boto3's settings say."""

    def __init__(self, bucket: str, prefix: str, endpoint_url: str | None = None) -> None:
        self.bucket, self.prefix = bucket, prefix
        self._transfer = TransferConfig(
            multipart_threshold=PART_BYTES,
            multipart_chunksize=PART_BYTES,
            max_concurrency=PARTS_IN_FLIGHT,
        )
        with self._refusals("its settings"):
            # a session of its own: boto3's default one keeps the first credentials that it ever saw
            session = boto3.Session()
            self._client = session.client("s3", endpoint_url=endpoint_url, config=_settings(endpoint_url))

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def put_file(self, source: Path, key: str, sha256: str) -> None:
        try:
            with self._refusals(key), source.open("rb") as file:
                self._client.upload_fileobj(file, self.bucket, self._full(key), Config=self._transfer)
        except OSError as error:
            raise StoreError(f"{source} could not be read ({error.strerror}): it stays where it is.") from error
        # Servers accept wrong checksum headers and give back none for multipart objects
        # (measured with moto and Ceph): only reading back tells what arrived.
        if (found := self.hash_of(key)) != sha256:
            self.delete(key)
            raise StoreError(
                f"{self.uri}/{key} did not arrive whole: its SHA-256 is {str(found)[:12]}..., "
                f"not {sha256[:12]}...; store it again."
            )

    def get_file(self, key: str, target: Path, sha256: str) -> None:
        try:
            with written_atomically(target) as part, self._refusals(key):
                self._client.download_file(self.bucket, self._full(key), str(part), Config=self._transfer)
                if (found := sha256_of(part)) != sha256:
                    raise StoreError(
                        f"{self.uri}/{key} is damaged: its SHA-256 is {found[:12]}..., not {sha256[:12]}...; "
                        "store it again."
                    )
        except OSError as error:
            raise StoreError(
                f"{target} could not be written ({error.strerror}): free space or choose another place."
            ) from error

    def hash_of(self, key: str) -> str | None:
        digest = hashlib.sha256()
        with self._refusals(key):
            body = self._body(key)
            if body is None:
                return None
            for chunk in body.iter_chunks(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def sizes_below(self, folder: str) -> dict[str, int]:
        start = self._full(folder).rstrip("/") + "/" if self._full(folder) else ""
        cut = len(self._full(""))
        pages = self._client.get_paginator("list_objects_v2")
        with self._refusals(folder or "its listing"):
            return {
                entry["Key"][cut:].lstrip("/"): entry["Size"]
                for page in pages.paginate(Bucket=self.bucket, Prefix=start)
                for entry in page.get("Contents", ())
            }

    def read_text(self, key: str) -> str | None:
        with self._refusals(key):
            body = self._body(key)
            return None if body is None else body.read().decode("utf-8", errors="replace")

    def create_text(self, key: str, text: str) -> bool:
        with self._refusals(key):
            try:
                self._client.put_object(Bucket=self.bucket, Key=self._full(key), Body=text.encode(), IfNoneMatch="*")
            except ClientError as error:
                if _code(error) in TAKEN:
                    return False
                raise
        return True

    def delete(self, key: str) -> None:
        with self._refusals(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def signed_link(self, key: str, lives_s: int) -> str:
        """An address at which anyone may read a file for some seconds."""
        with self._refusals(key):
            place = {"Bucket": self.bucket, "Key": self._full(key)}
            return str(self._client.generate_presigned_url("get_object", Params=place, ExpiresIn=lives_s))

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}".strip("/")

    def _body(self, key: str) -> Any:
        try:
            return self._client.get_object(Bucket=self.bucket, Key=self._full(key))["Body"]
        except ClientError as error:
            if _code(error) in MISSING:
                return None
            raise

    @contextmanager
    def _refusals(self, key: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError, Boto3Error) as error:
            raise StoreError(f"s3://{self.bucket} failed at {key}: {_way_out(error)}.") from error


def _settings(endpoint_url: str | None) -> Config:
    return Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 5},
        # servers other than AWS seldom have a host name a bucket, and refuse trailing checksums
        s3={"addressing_style": "path" if endpoint_url else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _way_out(error: Exception) -> str:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
    if isinstance(error, EndpointConnectionError):
        return "the server cannot be reached: check the network and store.endpoint_url, then do the same again"
    if isinstance(error, ClientError):
        code = _code(error)
        return WAYS_OUT.get(code, f"the server answered {code}: do the same again later, or ask its keeper")
    return f"{type(error).__name__}: check the network and the settings, then do the same again"
