"""Moto's server, but a conditional put is atomic, as on S3.

Moto looks whether the key is free before it puts the object, and two requests at once may both find it free.
"""

from threading import Lock
from typing import Any

from moto.s3.responses import S3Response
from moto.server import main

ONE_AT_A_TIME = Lock()
put_object = S3Response.put_object


def put_object_alone(self: S3Response) -> Any:
    """Put an object while no other request does."""
    with ONE_AT_A_TIME:
        return put_object(self)


if __name__ == "__main__":
    S3Response.put_object = put_object_alone
    main()
