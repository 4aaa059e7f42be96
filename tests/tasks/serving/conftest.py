"""A small test set with real images, and a model that answers it."""

from support.predictions import images, lively_model, records

__all__ = ["images", "lively_model", "records"]
