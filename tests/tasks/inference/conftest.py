"""A small test set with real images, and requests to answer it."""

from support.predictions import images, lively_model, records, records_and_images, request_for

__all__ = ["images", "lively_model", "records", "records_and_images", "request_for"]
