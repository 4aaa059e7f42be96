"""Upload a file to a bucket in concurrent parts, each verified by the server.

Each request is signed over the SHA-256 of its body. If a server does not compare it, the ETag of each part, the MD5 of
the bytes received, is compared here, and the caller reads the file back. Parts and files that an earlier, killed
upload has stored are recognised by these ETags and not sent again.
"""

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock
from typing import Any, BinaryIO, Required, TypedDict

from tasks.errors import StoreError
from tasks.storage.s3_checksum_probe import ChecksumProbe

MIB = 1 << 20
MAX_PARTS = 10_000
# attempts per part: bytes changed in transit are sent again, but not on a connection that always changes them
TRIES = 4
# asking whether a smaller file exists takes as long as sending it again
WORTH_ASKING_BYTES = MIB


class PutAnswer(TypedDict, total=False):
    """The fields of a response to put_object or upload_part that are read here."""

    ETag: Required[str]
    ServerSideEncryption: str
    SSECustomerAlgorithm: str


class Throttle:
    """Limits the rate of all senders together; None: no limit."""

    def __init__(self, bytes_per_s: float | None) -> None:
        self._rate, self._lock, self._free_at_s = bytes_per_s, Lock(), 0.0

    def take(self, size_bytes: int) -> None:
        """Wait until this many bytes may be sent."""
        if self._rate is None:
            return
        with self._lock:
            start_s = max(self._free_at_s, time.monotonic())
            self._free_at_s = start_s + size_bytes / self._rate
        time.sleep(max(0.0, start_s - time.monotonic()))


@dataclass(frozen=True)
class UploadLimits:
    """Size of parts in bytes, the number of concurrent parts, and the rate of all of them together."""

    part_bytes: int
    parts_in_flight: int
    throttle: Throttle


class S3Uploader:
    """Uploads files to one bucket with a boto3 client; the client's own errors pass through."""

    def __init__(self, client: Any, bucket: str, limits: UploadLimits, probe: ChecksumProbe) -> None:
        self._client, self._bucket, self._limits, self._probe = client, bucket, limits, probe
        # shared by the parts of all files
        self._slots = BoundedSemaphore(limits.parts_in_flight)

    def send(self, source: Path, key: str, sha256: str | None) -> str:
        """Upload a file and return its SHA-256; StoreError if it differs from `sha256`."""
        with source.open("rb") as file:
            size = source.stat().st_size
            part_bytes = max(self._limits.part_bytes, -(-size // MAX_PARTS))
            if found := self._existing(file, key, size, part_bytes):
                _require_unchanged(source, found, sha256)
                return found
            file.seek(0)
            if size > self._limits.part_bytes:
                return self._send_in_parts(file, key, part_bytes, sha256)
            data = file.read()
            found = hashlib.sha256(data).hexdigest()
            _require_unchanged(source, found, sha256)
            self._put_checked(data, key, self._client.put_object)
            return found

    def _existing(self, file: BinaryIO, key: str, size: int, part_bytes: int) -> str | None:
        """The SHA-256 of the file if the key has it completely, from an upload that was killed later; else None."""
        if size < WORTH_ASKING_BYTES:
            return None
        try:
            there = self._client.head_object(Bucket=self._bucket, Key=key)
        except self._client.exceptions.ClientError:
            return None
        if there["ContentLength"] != size:
            return None
        digest, etags = hashlib.sha256(), []
        while data := file.read(part_bytes):
            digest.update(data)
            etags.append(_md5(data))
        expected = _etag_of(etags) if size > self._limits.part_bytes else etags[0]
        return digest.hexdigest() if there["ETag"].strip('"') == expected else None

    def _send_in_parts(self, file: BinaryIO, key: str, part_bytes: int, sha256: str | None) -> str:
        upload, present = self._unfinished_upload(key)
        if upload is None:
            upload = self._client.create_multipart_upload(Bucket=self._bucket, Key=key)["UploadId"]
        digest = hashlib.sha256()
        failed = Event()
        parts: list[Future[str]] = []

        def finish(part: Future[str]) -> None:
            if part.exception():
                failed.set()
            self._slots.release()

        with ThreadPoolExecutor(self._limits.parts_in_flight) as pool:
            while data := file.read(part_bytes):
                self._slots.acquire()
                if failed.is_set():
                    self._slots.release()
                    break
                part = pool.submit(self._send_part, key, upload, len(parts) + 1, data, present)
                part.add_done_callback(finish)
                parts.append(part)
                digest.update(data)
        etags = [part.result() for part in parts]
        found = digest.hexdigest()
        if found != (sha256 or found):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
            _require_unchanged(Path(file.name), found, sha256)
        self._complete(key, upload, etags)
        return found

    def _send_part(self, key: str, upload: str, number: int, data: bytes, present: dict[int, str]) -> str:
        # a part that is there is recognised by its MD5; a part of another file is overwritten
        if (etag := present.get(number)) and etag == _md5(data):
            return etag
        return self._put_checked(data, key, self._client.upload_part, UploadId=upload, PartNumber=number)

    def _put_checked(self, data: bytes, key: str, put: Callable[..., PutAnswer], **target: object) -> str:
        """Put data and return its ETag; it is sent again if the ETag shows that other bytes arrived."""
        target = {"Bucket": self._bucket, "Key": key, **target}
        for _ in range(TRIES):
            self._limits.throttle.take(len(data))
            answer = put(Body=data, **target)
            etag = answer["ETag"].strip('"')
            if self._probe.server_checks() or _is_encrypted(answer) or etag == _md5(data):
                return etag
        raise StoreError(
            f"s3://{self._bucket}/{key} did not arrive intact: the server received different bytes from those sent, "
            f"{TRIES} times; check the network and any proxies, then store it again."
        )

    def _unfinished_upload(self, key: str) -> tuple[str | None, dict[int, str]]:
        """The unfinished upload of this key with the most parts, and the ETags of its parts by number."""
        found = [(self._parts_of(key, upload), upload) for upload in self._uploads(key) if upload[0] == key]
        if not found:
            return None, {}
        parts, (_key, upload) = max(found, key=lambda pair: len(pair[0]))
        return upload, parts

    def _uploads(self, prefix: str) -> list[tuple[str, str]]:
        pages = self._client.get_paginator("list_multipart_uploads")
        return [
            (upload["Key"], upload["UploadId"])
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix)
            for upload in page.get("Uploads", ())
        ]

    def _parts_of(self, key: str, upload: tuple[str, str]) -> dict[int, str]:
        pages = self._client.get_paginator("list_parts")
        try:
            return {
                part["PartNumber"]: part["ETag"].strip('"')
                for page in pages.paginate(Bucket=self._bucket, Key=key, UploadId=upload[1])
                for part in page.get("Parts", ())
            }
        except self._client.exceptions.NoSuchUpload:
            # another process has just finished uploading the same file
            return {}

    def _complete(self, key: str, upload: str, etags: list[str]) -> None:
        parts = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(etags, 1)]
        try:
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except self._client.exceptions.NoSuchUpload:
            # completed by a request whose response was lost, or by another process with the same file
            if not self._has_etag(key, etags):
                raise

    def _has_etag(self, key: str, etags: list[str]) -> bool:
        """Whether an object has the ETag that results from these parts."""
        try:
            found = self._client.head_object(Bucket=self._bucket, Key=key)["ETag"].strip('"')
        except self._client.exceptions.ClientError:
            return False
        return bool(found == _etag_of(etags))

    def drop_unfinished(self, prefix: str) -> None:
        """Abort all unfinished uploads under a prefix; their parts cost money and appear in no listing."""
        for key, upload in self._uploads(prefix):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _etag_of(etags: list[str]) -> str:
    """The ETag of an object that was uploaded in parts with these ETags."""
    digests = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"


def _is_encrypted(answer: PutAnswer) -> bool:
    """Whether the response says that the object is encrypted so that its ETag is not an MD5."""
    return answer.get("ServerSideEncryption") not in (None, "AES256") or "SSECustomerAlgorithm" in answer


def _require_unchanged(source: Path, found: str, sha256: str | None) -> None:
    if sha256 is not None and found != sha256:
        raise StoreError(
            f"{source} changed while it was stored: its SHA-256 is {found[:12]}..., not {sha256[:12]}...; "
            "store it again."
        )
