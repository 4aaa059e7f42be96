"""A store in a bucket of S3 or of an S3-compatible server. The only file that imports boto3.

Credentials come from boto3's usual chain or from the caller and appear in no message.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import SplitResult

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
    SSLError,
)

from tasks.errors import StoreError
from tasks.files import CHUNK_BYTES, sha256_of, written_atomically
from tasks.settings import StoreConfig
from tasks.storage.object_store import CONCURRENT_FILES, Credentials, StoredFile
from tasks.storage.s3_checksum_probe import PROBE, ChecksumProbe, ErrorResponse, is_probe
from tasks.storage.s3_upload import MIB, TRIES, S3Uploader, Throttle, UploadLimits

if TYPE_CHECKING:
    from botocore.response import StreamingBody

# the largest object that a server copies in one request
COPY_LIMIT_BYTES = 5 << 30
MISSING = frozenset({"404", "NoSuchKey", "NotFound", "InvalidRange"})
# 412: there is one; 409: another writer is creating it at this moment
TAKEN = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})
DAMAGED_IN_TRANSIT = frozenset(
    {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
)
PAUSE_S = 0.1
ADVICE = {
    "NoSuchBucket": "the bucket does not exist: create it, or correct store.uri",
    "AccessDenied": "access is denied: give these credentials list, read and write rights",
    "403": "access is denied: give these credentials list, read and write rights",
    "InvalidAccessKeyId": "the access key is unknown there: set the right credentials",
    "SignatureDoesNotMatch": "the secret key is wrong: set the right credentials",
    "ExpiredToken": "the session token has expired: fetch a new one",
    "InvalidToken": "the session token is not valid there: fetch a new one",
    "RequestTimeTooSkewed": "this machine's clock is off: set it, then try again",
    "QuotaExceeded": "the bucket is full: delete what is not needed, or have its quota raised",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set store.region to it",
    "PermanentRedirect": "the bucket is elsewhere: set store.region and store.endpoint_url to where it is",
    "XAmzContentSHA256Mismatch": "other bytes arrived than were sent: check the network and any proxies",
    "SlowDown": "the server is overloaded: try again later, or lower store.parts_in_flight",
}


class ListEntry(TypedDict):
    """The fields of a listed object that are read here."""

    Key: str
    Size: int
    ETag: str


class S3Store:
    """Objects under `prefix` in `bucket`; `credentials` None: boto3's usual chain."""

    def __init__(
        self, bucket: str, prefix: str, config: StoreConfig | None = None, credentials: Credentials | None = None
    ) -> None:
        self.bucket, self.prefix, self._config = bucket, prefix, config or StoreConfig()
        self._transfer = TransferConfig(
            multipart_chunksize=self._config.part_mib * MIB, max_concurrency=self._config.parts_in_flight
        )
        with self._store_errors("its settings"):
            self._client = _client(self._config, credentials)
        rate = self._config.bandwidth_mib_s
        limits = UploadLimits(
            self._config.part_mib * MIB, self._config.parts_in_flight, Throttle(rate * MIB if rate else None)
        )
        self._probe = ChecksumProbe(self._client, bucket, self._full(PROBE))
        self._uploader = S3Uploader(self._client, bucket, limits, self._probe)

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def put_file(self, source: Path, key: str, sha256: str | None = None) -> str:
        try:
            with self._store_errors(key):
                sent = self._uploader.send(source, self._full(key), sha256)
                is_checked = self._probe.server_checks() and not self._config.read_back
        except OSError as error:
            raise StoreError(f"{source} could not be read ({error.strerror}): it stays where it is.") from error
        if not is_checked and (found := self.hash_of(key)) != sent:
            self.delete(key)
            raise StoreError(
                f"{self.uri}/{key} did not arrive intact: its SHA-256 is {str(found)[:12]}..., "
                f"not {sent[:12]}...; store it again."
            )
        return sent

    def copy_file(self, source: StoredFile, key: str, sha256: str) -> bool:
        with self._store_errors(key):
            place = {"Bucket": self.bucket, "Key": self._full(source.key)}
            try:
                version = self._client.head_object(**place)["ETag"]
                if source.size > COPY_LIMIT_BYTES or version.strip('"') != (source.version or version.strip('"')):
                    return False
                answer = self._client.copy_object(
                    Bucket=self.bucket,
                    Key=self._full(key),
                    CopySource=place,
                    CopySourceIfMatch=version,
                    ChecksumAlgorithm="SHA256",
                )
            except ClientError as error:
                if _code(error) in MISSING | TAKEN:
                    return False
                raise
        copied = answer["CopyObjectResult"]
        if source.version and copied["ETag"].strip('"') == source.version:
            return True
        # not every server returns a checksum; one without a dash is that of the complete object
        checksum = copied.get("ChecksumSHA256", "-")
        if (self.hash_of(key) if "-" in checksum else base64.b64decode(checksum).hex()) == sha256:
            return True
        self.delete(key)
        return False

    def read_tail(self, source: StoredFile, size_bytes: int) -> bytes | None:
        with self._store_errors(source.key):
            start = max(0, source.size - size_bytes)
            body = self._body(source.key, Range=f"bytes={start}-{source.size - 1}")
            return None if body is None else bytes(body.read())

    def drop_unfinished(self, folder: str) -> None:
        with self._store_errors(folder):
            self._uploader.drop_unfinished(self._full(folder) + "/")

    def get_file(self, key: str, target: Path, sha256: str) -> None:
        try:
            with written_atomically(target) as part, self._store_errors(key):
                self._client.download_file(self.bucket, self._full(key), str(part), Config=self._transfer)
                if (found := sha256_of(part)) != sha256:
                    raise StoreError(
                        f"{self.uri}/{key} is damaged: its SHA-256 is {found[:12]}..., not {sha256[:12]}...; "
                        "store it again."
                    )
        except OSError as error:
            raise StoreError(
                f"{target} could not be written ({error.strerror}): free space or choose another path."
            ) from error

    def hash_of(self, key: str) -> str | None:
        digest = hashlib.sha256()
        with self._store_errors(key):
            body = self._body(key)
            if body is None:
                return None
            for chunk in body.iter_chunks(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def sizes_below(self, folder: str) -> dict[str, int]:
        return {key: entry["Size"] for key, entry in self._entries_below(folder)}

    def versions_below(self, folder: str) -> dict[str, str]:
        return {key: entry["ETag"].strip('"') for key, entry in self._entries_below(folder)}

    def _entries_below(self, folder: str) -> list[tuple[str, ListEntry]]:
        start = self._full(folder).rstrip("/") + "/" if self._full(folder) else ""
        cut = len(self._full(""))
        pages = self._client.get_paginator("list_objects_v2")
        with self._store_errors(folder or "its listing"):
            return [
                (entry["Key"][cut:].lstrip("/"), entry)
                for page in pages.paginate(Bucket=self.bucket, Prefix=start)
                for entry in page.get("Contents", ())
            ]

    def read_text(self, key: str) -> str | None:
        with self._store_errors(key):
            body = self._body(key)
            return None if body is None else body.read().decode("utf-8", errors="replace")

    def create_text(self, key: str, text: str) -> bool:
        with self._store_errors(key):
            for _ in range(TRIES):
                try:
                    self._client.put_object(
                        Bucket=self.bucket, Key=self._full(key), Body=text.encode(), IfNoneMatch="*"
                    )
                except ClientError as error:
                    if _code(error) in TAKEN:
                        return False
                    raise
                if self._probe.server_checks() or self.read_text(key) == text:
                    return True
                # this call has just created a damaged text, which nobody can have used yet
                self.delete(key)
        raise StoreError(f"{self.uri}/{key} did not arrive as it was sent, {TRIES} times: check the network.")

    def delete(self, key: str) -> None:
        with self._store_errors(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def signed_link(self, key: str, lifetime_s: int) -> str:
        """An address at which anyone may read a file for `lifetime_s` seconds."""
        with self._store_errors(key):
            place = {"Bucket": self.bucket, "Key": self._full(key)}
            return str(self._client.generate_presigned_url("get_object", Params=place, ExpiresIn=lifetime_s))

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}".strip("/")

    def _body(self, key: str, **some: str) -> "StreamingBody | None":
        try:
            return self._client.get_object(Bucket=self.bucket, Key=self._full(key), **some)["Body"]
        except ClientError as error:
            if _code(error) in MISSING:
                return None
            raise

    @contextmanager
    def _store_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError, Boto3Error) as error:
            raise StoreError(f"s3://{self.bucket} failed at {key}: {_advice(error)}.") from error


def open_bucket(address: SplitResult, config: StoreConfig, credentials: Credentials | None = None) -> S3Store | None:
    """The store of an s3://bucket/prefix address; None for one without a bucket or with a login, query or fragment."""
    is_plain = address.netloc and not ("@" in address.netloc or address.query or address.fragment)
    return S3Store(address.netloc, address.path.strip("/"), config, credentials) if is_plain else None


def _client(config: StoreConfig, credentials: Credentials | None) -> Any:
    # a new session: boto3's default one keeps the first credentials it ever saw
    keys = credentials.as_session() if credentials else {}
    session = boto3.Session(**keys)  # type: ignore[arg-type]
    style = config.addressing
    if style == "auto" and config.endpoint_url:
        # servers other than AWS rarely have a host name per bucket
        style = "path"
    settings = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 5},
        max_pool_connections=config.parts_in_flight + CONCURRENT_FILES,
        # the SHA-256 of the body is signed, over TLS too, so that the server refuses damaged bytes
        s3={"addressing_style": style, "payload_signing_enabled": True},
        # servers other than AWS refuse trailing checksums
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = session.client(
        "s3",
        endpoint_url=config.endpoint_url,
        region_name=config.region,
        verify=str(config.ca_bundle) if config.ca_bundle else None,
        config=settings,
    )
    client.meta.events.register("needs-retry.s3", _retry_delay_s_if_damaged)
    return client


def _retry_delay_s_if_damaged(
    response: tuple[object, ErrorResponse] | None, attempts: int, request_dict: Mapping[str, object], **_: object
) -> float | None:
    """Seconds until a request whose body arrived damaged is sent again; None: it is not."""
    code = response[1].get("Error", {}).get("Code") if response else None
    may_retry = attempts < TRIES and not is_probe(str(request_dict["url"]))
    return PAUSE_S if code in DAMAGED_IN_TRANSIT and may_retry else None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _advice(error: Exception) -> str:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
    if isinstance(error, SSLError):
        return "the server's certificate is not trusted: give its CA as store.ca_bundle"
    if isinstance(error, EndpointConnectionError):
        return "the server cannot be reached: check the network and store.endpoint_url, then try again"
    if isinstance(error, ClientError):
        code = _code(error)
        return ADVICE.get(code, f"the server answered {code}: try again later, or ask its administrator")
    return f"{type(error).__name__}: check the network and the settings, then try again"
