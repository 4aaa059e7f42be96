"""How a file gets into a bucket: in parts, several at a time, each refused by the server when it arrives otherwise.

Each request is signed over the SHA-256 of what it carries. Where a server does not compare it, the ETag of a part, the
MD5 of what arrived, is compared here, and the caller reads the file back. What an earlier, killed sender brought there
already is found by these ETags and not sent again.
"""

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock
from typing import Any, BinaryIO

from tasks.errors import StoreError
from tasks.storage.s3_checksum_probe import Proof

MIB = 1 << 20
MOST_PARTS = 10_000
# a byte that is changed on its way is sent again, a line that always changes them is given up
TRIES = 4
# to ask for a smaller file takes as long as to send it again
WORTH_ASKING_BYTES = MIB


class Throttle:
    """Lets bytes pass at a rate, whoever sends them; no rate: at once."""

    def __init__(self, bytes_a_second: float | None) -> None:
        self._rate, self._lock, self._free_at_s = bytes_a_second, Lock(), 0.0

    def take(self, size_bytes: int) -> None:
        """Wait for the turn of so many bytes."""
        if self._rate is None:
            return
        with self._lock:
            turn_s = max(self._free_at_s, time.monotonic())
            self._free_at_s = turn_s + size_bytes / self._rate
        time.sleep(max(0.0, turn_s - time.monotonic()))


@dataclass(frozen=True)
class Limits:
    """Size of parts, how many are under way at once, and the rate of all of them together."""

    part_bytes: int
    parts_in_flight: int
    throttle: Throttle


class Sender:
    """Sends files to one bucket with a boto3 client; the client's own errors pass through."""

    def __init__(self, client: Any, bucket: str, limits: Limits, proof: Proof) -> None:
        self._client, self._bucket, self._limits, self._proof = client, bucket, limits, proof
        # of all files together
        self._slots = BoundedSemaphore(limits.parts_in_flight)

    def send(self, source: Path, key: str, sha256: str | None) -> str:
        """Put a file and return its SHA-256; StoreError when it is not the one that is given."""
        with source.open("rb") as file:
            size = source.stat().st_size
            part_bytes = max(self._limits.part_bytes, -(-size // MOST_PARTS))
            if found := self._standing(file, key, size, part_bytes):
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

    def _standing(self, file: BinaryIO, key: str, size: int, part_bytes: int) -> str | None:
        """The SHA-256 of a file that stands there whole, from a sender that was killed later; None: it does not."""
        if size < WORTH_ASKING_BYTES:
            return None
        try:
            there = self._client.head_object(Bucket=self._bucket, Key=key)
        except self._client.exceptions.ClientError:
            return None
        if there["ContentLength"] != size:
            return None
        whole, etags = hashlib.sha256(), []
        while data := file.read(part_bytes):
            whole.update(data)
            etags.append(_md5(data))
        made = _etag_of(etags) if size > self._limits.part_bytes else etags[0]
        return whole.hexdigest() if there["ETag"].strip('"') == made else None

    def _send_in_parts(self, file: BinaryIO, key: str, part_bytes: int, sha256: str | None) -> str:
        upload, present = self._unfinished_upload(key)
        if upload is None:
            upload = self._client.create_multipart_upload(Bucket=self._bucket, Key=key)["UploadId"]
        whole = hashlib.sha256()
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
                whole.update(data)
        etags = [part.result() for part in parts]
        found = whole.hexdigest()
        if found != (sha256 or found):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
            _require_unchanged(Path(file.name), found, sha256)
        self._complete(key, upload, etags)
        return found

    def _send_part(self, key: str, upload: str, number: int, data: bytes, present: dict[int, str]) -> str:
        # what is there already is known by its MD5: a part of another file is sent over
        if (etag := present.get(number)) and etag == _md5(data):
            return etag
        return self._put_checked(data, key, self._client.upload_part, UploadId=upload, PartNumber=number)

    def _put_checked(self, data: bytes, key: str, put: Callable[..., Any], **place: Any) -> str:
        """The ETag of what was put; sent again when it tells that other bytes arrived."""
        place = {"Bucket": self._bucket, "Key": key, **place}
        for _ in range(TRIES):
            self._limits.throttle.take(len(data))
            answer = put(Body=data, **place)
            etag = str(answer["ETag"].strip('"'))
            if self._proof.server_checks() or _is_encrypted(answer) or etag == _md5(data):
                return etag
        raise StoreError(
            f"s3://{self._bucket}/{key} did not arrive whole: the server received other bytes than were sent, "
            f"{TRIES} times; check the network and what stands between, then store it again."
        )

    def _unfinished_upload(self, key: str) -> tuple[str | None, dict[int, str]]:
        """The upload of this key that got furthest, and the ETags of its parts by number."""
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
            # another sender of the same file has finished it in this moment
            return {}

    def _complete(self, key: str, upload: str, etags: list[str]) -> None:
        parts = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(etags, 1)]
        try:
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except self._client.exceptions.NoSuchUpload:
            # completed by a request whose answer was lost, or by another sender of the same file
            if not self._has_etag(key, etags):
                raise

    def _has_etag(self, key: str, etags: list[str]) -> bool:
        """Whether an object's ETag is the one that these parts make."""
        try:
            found = self._client.head_object(Bucket=self._bucket, Key=key)["ETag"].strip('"')
        except self._client.exceptions.ClientError:
            return False
        return bool(found == _etag_of(etags))

    def drop_unfinished(self, prefix: str) -> None:
        """End all uploads below a prefix that were never completed; their parts cost money and are not listed."""
        for key, upload in self._uploads(prefix):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _etag_of(etags: list[str]) -> str:
    """The ETag of an object that was put in parts of these ETags."""
    digests = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"


def _is_encrypted(answer: Any) -> bool:
    """Whether the server says that it encrypts in a way that makes its ETags no MD5."""
    return answer.get("ServerSideEncryption") not in (None, "AES256") or "SSECustomerAlgorithm" in answer


def _require_unchanged(source: Path, found: str, sha256: str | None) -> None:
    if sha256 is not None and found != sha256:
        raise StoreError(
            f"{source} changed while it was stored: its SHA-256 is {found[:12]}..., not {sha256[:12]}...; "
            "store it again."
        )
