"""Find out whether an S3 server compares the bytes it receives with the SHA-256 in the request's signature.

AWS and Ceph's gateway do and refuse other bytes; not every server does, and none says so. The probe sends one small
file whose bytes are changed after the request was signed.
"""

from threading import Lock
from typing import Any, Protocol, TypedDict

PROBE = ".sha256-proof"
SIGNED, SENT = b"signed for", b"other data"
REFUSALS = frozenset({"XAmzContentSHA256Mismatch", "BadDigest", "InvalidDigest", "SignatureDoesNotMatch"})


class UnsentRequest(Protocol):
    """A request of botocore before it is sent."""

    url: str
    body: bytes


class ErrorResponse(TypedDict, total=False):
    """The field of a response that says what failed, with its code under `Code`."""

    Error: dict[str, str]


class ChecksumProbe:
    """Probes the server of a boto3 client, at most once, with a small file at `key`."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client, self._place = client, {"Bucket": bucket, "Key": key}
        self._lock = Lock()
        self._checks: bool | None = None
        client.meta.events.register("before-send.s3.PutObject", _change)

    def server_checks(self) -> bool:
        """Whether the server refuses bytes that differ from the signed ones; the client's own errors pass through."""
        with self._lock:
            if self._checks is None:
                self._checks = self._is_refused()
            return self._checks

    def _is_refused(self) -> bool:
        try:
            self._client.put_object(**self._place, Body=SIGNED)
        except self._client.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in REFUSALS:
                return True
            raise
        self._client.delete_object(**self._place)
        return False


def is_probe(address: str) -> bool:
    """Whether an address is that of the probe, whose request should be refused."""
    return address.partition("?")[0].endswith(f"/{PROBE}")


def _change(request: UnsentRequest, **_: object) -> None:
    if is_probe(request.url):
        request.body = SENT
