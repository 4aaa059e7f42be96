"""The registry of sources: a new source is one entry here, with its folder, what is asked, and where it comes from."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.errors import ConfigError
from tasks.image_paths import image_key
from tasks.prompt_text import Task
from tasks.question_types import PATTERNS, Patterns, QuestionType, question_type

Way = tuple[str, ...]

INSTRUCTIONS: Way = ("hf://datasets/BigData-KSU/RS-instructions-dataset/NWPU-RSICD-UAV-UCM-LR-DOTA-intrcutions.json",)
INSTRUCTIONS_BY_HAND = (
    "https://huggingface.co/datasets/BigData-KSU/RS-instructions-dataset (NWPU-RSICD-UAV-UCM-LR-DOTA-intrcutions.json)"
)
INSTRUCTIONS_CITATION = (
    "Bazi et al., RS-LLaVA: A Large Vision-Language Model for Joint Captioning and Question Answering in Remote "
    "Sensing Imagery, Remote Sensing 16(9), 2024"
)


@dataclass(frozen=True)
class Origin:
    """How a source's images are had: ways tried in order, each one or more addresses that together hold them all.

    An address is https, s3, hf or file, or a share of Google Drive, MEGA or OneDrive as a browser shows it.
    `file_pattern` matches the path of an image in whatever archive it comes, and its group `keep` is the path below
    the source's folder; `by_hand` says where a person finds it.
    """

    images: int | None
    suffix: str
    file_pattern: str
    ways: tuple[Way, ...]
    by_hand: str
    licence: str
    citation: str


@dataclass(frozen=True)
class Source:
    """One source of images and records; `task` is None where each record tells its own.

    `questions` tells the type of a question by its words; most sources share their phrasings.
    """

    name: str
    folder: str
    task: Task | None
    default: bool
    title: str
    origin: Origin
    questions: Patterns = PATTERNS


FLAT = r"(?:.*/)?(?P<keep>[^/]+\.{suffix})"

SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source(
            "NWPU",
            "NWPU/NWPU_images",
            "captioning",
            True,
            "NWPU-Captions on NWPU-RESISC45",
            Origin(
                images=31_500,
                suffix="jpg",
                # the folder is the class, and the file's name begins with it
                file_pattern=r"(?:.*/)?(?P<keep>(?P<label>[a-z_]+)/(?P=label)_\d+\.jpg)",
                ways=(("https://onedrive.live.com/?authkey=%21AHHNaHIlzp_IXjs&id=5C5E061130630A68%21107",),),
                by_hand="https://onedrive.live.com/?authkey=%21AHHNaHIlzp_IXjs&id=5C5E061130630A68%21107 "
                "(NWPU-RESISC45.rar)",
                licence="for research; no licence is stated",
                citation="Cheng, Han, Lu, Remote Sensing Image Scene Classification: Benchmark and State of the Art, "
                "Proceedings of the IEEE 105(10), 2017; captions: Cheng et al., NWPU-Captions Dataset and MLCA-Net, "
                "IEEE TGRS 60, 2022",
            ),
        ),
        Source(
            "RSICD",
            "RSICD/images",
            "captioning",
            True,
            "RSICD",
            Origin(
                images=10_921,
                suffix="jpg",
                file_pattern=FLAT.format(suffix="jpg"),
                ways=(("https://mega.nz/folder/EOpjTAwL#LWdHVjKAJbd3NbLsCvzDGA",),),
                by_hand="https://mega.nz/folder/EOpjTAwL#LWdHVjKAJbd3NbLsCvzDGA (the archive of images)",
                licence="for research; no licence is stated",
                citation="Lu, Wang, Zheng, Li, Exploring Models and Data for Remote Sensing Image Caption Generation, "
                "IEEE TGRS 56(4), 2018",
            ),
        ),
        Source(
            "LR",
            "LR/Train",
            "vqa",
            True,
            "RSVQA, low resolution",
            Origin(
                images=772,
                suffix="tif",
                file_pattern=r"(?:.*/)?(?P<keep>\d+\.tif)",
                ways=(("https://zenodo.org/record/6344334/files/Images_LR.zip",),),
                by_hand="https://zenodo.org/record/6344334 (Images_LR.zip)",
                licence="CC BY 4.0",
                citation="Lobry, Marcos, Murray, Tuia, RSVQA: Visual Question Answering for Remote Sensing Data, "
                "IEEE TGRS 58(12), 2020",
            ),
        ),
        Source(
            "DOTA",
            "DOTA/images",
            "vqa",
            True,
            "RSIVQA on DOTA",
            Origin(
                # 1.0 has 1,411 images for training and 458 for validation; which are asked about, the records say
                images=None,
                suffix="png",
                file_pattern=r"(?:.*/)?(?P<keep>P\d+\.png)",
                ways=(
                    (
                        "https://drive.google.com/uc?id=1BlaGYNNEKGmT6OjZjsJ8HoUYrTTmFcO2",
                        "https://drive.google.com/uc?id=1JBWCHdyZOd9ULX0ng5C9haAt3FMPXa3v",
                        "https://drive.google.com/uc?id=1pEmwJtugIWhiwgBqOtplNUtTG2T454zn",
                    ),
                ),
                by_hand="https://captain-whu.github.io/DOTA/dataset.html (DOTA-v1.0, training and validation images)",
                licence="academic use only",
                citation="Xia et al., DOTA: A Large-Scale Dataset for Object Detection in Aerial Images, CVPR 2018; "
                "questions: Zheng, Wang, Du, Lu, Mutual Attention Inception Network for Remote Sensing VQA, "
                "IEEE TGRS 60, 2022",
            ),
        ),
        Source(
            "UCM",
            "UCM/images",
            None,
            False,
            "UCM-Captions and RSIVQA on UC Merced land use",
            Origin(
                images=2_100,
                suffix="jpg",
                file_pattern=FLAT.format(suffix="jpg"),
                ways=(),
                by_hand="https://github.com/201528014227051/RSICD_optimal (UCM-Captions)",
                licence="for research; the images are in the public domain (USGS)",
                citation="Yang, Newsam, Bag-of-Visual-Words and Spatial Extensions for Land-Use Classification, "
                "ACM GIS 2010; captions: Qu et al., Deep Semantic Understanding of High Resolution Remote Sensing "
                "Image, CITS 2016",
            ),
        ),
        Source(
            "UAV",
            "UAV/Train",
            "captioning",
            False,
            "Captions of drone images",
            Origin(
                images=None,
                suffix="jpg",
                file_pattern=FLAT.format(suffix="jpg"),
                ways=(),
                by_hand="the authors (Hoxha, Melgani; University of Trento)",
                licence="on request",
                citation="Hoxha, Melgani, A Novel SVM-Based Decoder for Remote Sensing Image Captioning, "
                "IEEE TGRS 60, 2022",
            ),
        ),
    )
}
DEFAULT_SOURCES = tuple(source.name for source in SOURCES.values() if source.default)

# the source of images whose paths have no folder, where it is not named
UNNAMED = "unnamed"


def source_of(image_path: str, unnamed: str = UNNAMED) -> str:
    """The source of an image: the first folder of its path, or `unnamed` for a path without a folder."""
    folder, slash, _ = image_key(image_path).partition("/")
    return folder if slash else unnamed


def require_known(names: Iterable[str], unnamed: str | None = None) -> None:
    """Raise ConfigError, naming the first, for sources that are neither in the registry nor `unnamed`."""
    for name in names:
        if name not in SOURCES and name != unnamed:
            close = difflib.get_close_matches(name, SOURCES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(SOURCES)}."
            raise ConfigError(f"{name} is no source: {hint}")


def type_of_question(source: str, question: str, answer: str) -> QuestionType:
    """The type of a question of a source, by the question and its true answer."""
    patterns = SOURCES[source].questions if source in SOURCES else PATTERNS
    return question_type(question, answer, patterns)
