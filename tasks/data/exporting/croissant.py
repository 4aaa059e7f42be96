"""Croissant metadata (JSON-LD) of a dataset version: its files with their hashes, and how to read their records.

Format: http://mlcommons.org/croissant/1.0. Readers extract all fields of a file object into one table, so that records
and their turns, which are more, refer to the same file as two objects.
"""

import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from tasks.files import sha256_of, write_json
from tasks.sources import SOURCES

NAMES = """
    citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes isLiveDataset
    jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source
    subField transform
"""
# the context of the specification, to the letter: readers compare it
VOCABULARY = {
    **{name: f"cr:{name}" for name in re.findall(r"\w+", NAMES)},
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
RECORDS = {"id": "$[*].id", "image": "$[*].image"}
# readers want as many values of each field: the ids of the records that have an image
WITH_IMAGE = {**RECORDS, "id": "$[*].image.`parent`.id"}
TURNS = {"from": "$[*].conversations[*].from", "value": "$[*].conversations[*].value"}


def write_croissant(
    path: Path, sets: Mapping[str, Path], sources: Iterable[str], version: str, mixed: Container[str] = ()
) -> None:
    """Describe the files of `sets`, by name, in the file `path` in the same folder; `version` is that of the data.

    The sets named in `mixed` also hold records of text alone, which are only among the turns. Licences and citations
    are those of the known sources.
    """
    known = [SOURCES[name].distribution for name in sources if name in SOURCES]
    description: dict[str, Any] = {
        "@context": VOCABULARY,
        "@type": "sc:Dataset",
        "name": "rsvlm-dataset",
        "description": "Remote-sensing instructions: images with captions or questions and answers. Images are apart, "
        "by the paths in the records.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": f"1.0.0+{version[:12]}",
        **({"license": _distinct(each.licence for each in known)} if known else {}),
        **({"citeAs": "; ".join(_distinct(each.citation for each in known))} if known else {}),
        "distribution": [each for name, file in sets.items() for each in _files(name, file)],
        "recordSet": [
            each
            for name in sets
            for each in (
                _record_set(name, WITH_IMAGE if name in mixed else RECORDS),
                _record_set(f"{name}_turns", TURNS),
            )
        ],
    }
    write_json(path, description)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _files(name: str, file: Path) -> list[dict[str, Any]]:
    shared = {
        "@type": "cr:FileObject",
        "contentUrl": file.name,
        "contentSize": f"{file.stat().st_size} B",
        "encodingFormat": "application/json",
        "sha256": sha256_of(file),
    }
    return [{**shared, "@id": f"{each}.file", "name": f"{each}.file"} for each in (name, f"{name}_turns")]


def _record_set(name: str, paths: Mapping[str, str]) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{field}",
            "name": f"{name}/{field}",
            "dataType": "sc:Text",
            "source": {"fileObject": {"@id": f"{name}.file"}, "extract": {"jsonPath": path}},
        }
        for field, path in paths.items()
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}
