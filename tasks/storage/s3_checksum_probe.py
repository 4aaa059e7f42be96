"""Whether a server compares what it receives with the SHA-256 that the request was signed over.

AWS and Ceph's gateway do and refuse the rest; not every server does, and none says so. It is asked once, by a small
file whose bytes are changed after they were signed for.
"""

from threading import Lock
from typing import Any

PROOF = ".sha256-proof"
SIGNED, SENT = b"signed for", b"other data"
REFUSALS = frozenset({"XAmzContentSHA256Mismatch", "BadDigest", "InvalidDigest", "SignatureDoesNotMatch"})


class Proof:
    """Asks the server of a boto3 client, at most once; `key` is where the small file would come to stand."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client, self._place = client, {"Bucket": bucket, "Key": key}
        self._lock = Lock()
        self._checks: bool | None = None
        client.meta.events.register("before-send.s3.PutObject", _change)

    def server_checks(self) -> bool:
        """Whether other bytes than those that were signed for are refused; the client's own errors pass through."""
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


def is_proof(address: str) -> bool:
    """Whether a request to this address is the one that is to be refused."""
    return address.partition("?")[0].endswith(f"/{PROOF}")


def _change(request: Any, **_: Any) -> None:
    if is_proof(request.url):
        request.body = SENT
