"""The families over transformers' AutoModelForImageTextToText and AutoProcessor."""

from tasks.model.family import ModelFamily

MEMBERS: tuple[ModelFamily, ...] = ()
