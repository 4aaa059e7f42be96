"""Settings of a source of the user's own: what the registry states of the built-in sources."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from tasks.image_paths import image_key, leaves_folder
from tasks.prompt_text import Task
from tasks.secret_addresses import PLAIN_ADDRESS, require_no_secret
from tasks.settings.base import Section
from tasks.sources import SOURCE_NAME, SOURCES, TEXT_ONLY, Distribution, Source

# the schema has a pattern too, so that Prefect's server refuses a URL with a secret before storing it
Address = Annotated[str, WithJsonSchema({"type": "string", "pattern": PLAIN_ADDRESS})]
Addresses = Address | tuple[Address, ...]

# words with a meaning of their own where source names are expected
RESERVED = ("all", "instructions", TEXT_ONLY)
RECORD_KEYS = ("id", "image", "conversations")
ANY_IMAGE = r"(?P<keep>.+\.(?:jpe?g|jpe|jfif|png|tiff?|bmp|gif|webp|jp2|j2k))"


class QuestionPattern(Section):
    """A type of question, and the words by which it is recognised."""

    type: str = Field(min_length=1, description="Question type: presence, count and so on, or a name of your own.")
    pattern: str = Field(
        min_length=1, description="Regular expression to be found in the words of a question; case does not matter."
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        compiled(pattern)
        return pattern


class CustomSource(Section):
    """A source of your own: its name, its task, the types of its questions and the origin of its images."""

    name: str = Field(
        pattern=SOURCE_NAME,
        description="Name, the first folder of the source's image paths: no slashes, commas, = or spaces, and no dot "
        "or underscore at the start.",
    )
    folder: str = Field(
        "", description="Folder in imagenes/ for fetched images, the name or a folder below it. Empty: the name."
    )
    task: Task | None = Field(
        None, description="Task of records and turns that do not state theirs. Empty: their words decide."
    )
    task_field: str = Field(
        "", description="Field of the records that states the task, such as `kind`. Empty: `task` or `type`."
    )
    question_types: tuple[QuestionPattern, ...] | dict[str, str] = Field(
        (),
        description="Types of questions; the first whose pattern is found decides, before the default patterns. In "
        "YAML also a mapping from type to pattern.",
    )
    question_type_field: str = Field(
        "",
        description="Field of the questions or records that states the type, which precedes all patterns. Empty: "
        "`question_type`.",
    )
    images: Addresses = Field(
        (),
        description="Origin of the images for data.fetch: path or URL of a folder or archive, or a list of them. "
        "${NAME} is replaced by the environment variable on the machine of the run.",
    )
    references: str = Field(
        "",
        description="Field of the records with a list of captions; each becomes a record. Empty: an image's reference "
        "captions are those of all its records.",
    )

    @field_validator("task", mode="before")
    @classmethod
    def _may_be_empty(cls, given: object) -> object:
        return given or None

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in SOURCES or name in RESERVED:
            raise ValueError(f"{name} is the name of a built-in source or a reserved word: choose another name")
        return name

    @field_validator("question_types", mode="after")
    @classmethod
    def _in_order(cls, given: tuple[QuestionPattern, ...] | dict[str, str]) -> tuple[QuestionPattern, ...]:
        # a database may change the order of a mapping, and the first match decides
        if isinstance(given, dict):
            for pattern in given.values():
                compiled(pattern)
            return tuple(QuestionPattern(type=kind, pattern=pattern) for kind, pattern in given.items())
        return given

    @field_validator("images")
    @classmethod
    def _has_no_secrets(cls, given: Addresses) -> Addresses:
        return require_plain(given)

    @field_validator("references")
    @classmethod
    def _is_another_field(cls, name: str) -> str:
        if name in RECORD_KEYS:
            raise ValueError(f"{name} cannot hold captions: name the field with the list of captions")
        return name

    @model_validator(mode="after")
    def _folder_is_below(self) -> "CustomSource":
        key = image_key(self.folder)
        if self.folder and (leaves_folder(self.folder) or key.split("/")[0] != self.name):
            raise ValueError(f"folder {self.folder} of {self.name} must be {self.name} or a folder below it")
        return self

    @property
    def patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        """The types of questions with their compiled patterns, in order."""
        given = self.question_types
        assert isinstance(given, tuple)
        return [(each.type, compiled(each.pattern)) for each in given]

    @property
    def source(self) -> Source:
        """The entry that a registry would have for this source, without its question types."""
        return Source(
            self.name,
            image_key(self.folder) if self.folder else self.name,
            self.task,
            False,
            self.name,
            Distribution(
                images=None,
                suffix="",
                file_pattern=ANY_IMAGE,
                url_sets=(url_set,) if (url_set := as_tuple(self.images)) else (),
                by_hand=f"the images of {self.name}",
                licence="",
                citation="",
            ),
        )


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of question types, which ignores case; raises ValueError for an invalid one."""
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression ({error}): correct it") from None


def as_tuple(addresses: Addresses) -> tuple[str, ...]:
    """One or more addresses as a tuple."""
    return (addresses,) if isinstance(addresses, str) else addresses


def require_plain(addresses: Addresses) -> Addresses:
    """Return the addresses; raises ValueError if one may contain a secret."""
    for address in as_tuple(addresses):
        require_no_secret(address)
    return addresses


def require_distinct(sources: Iterable[CustomSource]) -> None:
    """Raise ValueError if two sources have one name."""
    seen: set[str] = set()
    for source in sources:
        if source.name in seen:
            raise ValueError(f"custom_sources has two sources named {source.name}: rename one of them")
        seen.add(source.name)
