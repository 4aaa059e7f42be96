"""The registry of sources. To add a source, add one entry: its folder, its task and where its images come from."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tasks.errors import ConfigError
from tasks.image_paths import image_key
from tasks.prompt_text import Task
from tasks.question_types import PATTERNS, Patterns, QuestionType, question_type

UrlSet = tuple[str, ...]

INSTRUCTIONS: UrlSet = (
    "hf://datasets/BigData-KSU/RS-instructions-dataset/NWPU-RSICD-UAV-UCM-LR-DOTA-intrcutions.json",
)
INSTRUCTIONS_BY_HAND = (
    "https://huggingface.co/datasets/BigData-KSU/RS-instructions-dataset (NWPU-RSICD-UAV-UCM-LR-DOTA-intrcutions.json)"
)
INSTRUCTIONS_CITATION = (
    "Bazi et al., RS-LLaVA: A Large Vision-Language Model for Joint Captioning and Question Answering in Remote "
    "Sensing Imagery, Remote Sensing 16(9), 2024"
)


@dataclass(frozen=True)
class Distribution:
    """Where a source's images can be downloaded, and how to recognise them.

    `url_sets` are tried in order; the URLs of one set together hold all images. A URL is https, s3, hf or file, or a
    share of Google Drive, MEGA or OneDrive as the browser shows it. `file_pattern` matches the path of an image in any
    archive; its group `keep` is the path in the source's folder. `by_hand` is where to download manually.
    """

    images: int | None
    suffix: str
    file_pattern: str
    url_sets: tuple[UrlSet, ...]
    by_hand: str
    licence: str
    citation: str


@dataclass(frozen=True)
class Source:
    """One source of images and records; `task` is None if the task differs between records.

    `questions` are the patterns that find the type of a question; most sources share the default ones.
    """

    name: str
    folder: str
    task: Task | None
    default: bool
    title: str
    distribution: Distribution
    questions: Patterns = PATTERNS


# Its questions for areas all begin so, and "residential areas" are things that are counted and compared.
HR_QUESTIONS: Patterns = (("area", re.compile(r"^what is the (area|surface)\b(?!.*\bthan\b)")), *PATTERNS)
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
            Distribution(
                images=31_500,
                suffix="jpg",
                # the folder is the class, and the file name starts with it
                file_pattern=r"(?:.*/)?(?P<keep>(?P<label>[a-z_]+)/(?P=label)_\d+\.jpg)",
                url_sets=(("https://onedrive.live.com/?authkey=%21AHHNaHIlzp_IXjs&id=5C5E061130630A68%21107",),),
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
            Distribution(
                images=10_921,
                suffix="jpg",
                file_pattern=FLAT.format(suffix="jpg"),
                url_sets=(("https://mega.nz/folder/EOpjTAwL#LWdHVjKAJbd3NbLsCvzDGA",),),
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
            Distribution(
                images=772,
                suffix="tif",
                file_pattern=r"(?:.*/)?(?P<keep>\d+\.tif)",
                url_sets=(("https://zenodo.org/record/6344334/files/Images_LR.zip",),),
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
            Distribution(
                # DOTA 1.0 has 1,411 training and 458 validation images; the records use some of them
                images=None,
                suffix="png",
                file_pattern=r"(?:.*/)?(?P<keep>P\d+\.png)",
                url_sets=(
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
            Distribution(
                images=2_100,
                suffix="jpg",
                file_pattern=FLAT.format(suffix="jpg"),
                url_sets=(),
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
            Distribution(
                images=None,
                suffix="jpg",
                file_pattern=FLAT.format(suffix="jpg"),
                url_sets=(),
                by_hand="the authors (Hoxha, Melgani; University of Trento)",
                licence="on request",
                citation="Hoxha, Melgani, A Novel SVM-Based Decoder for Remote Sensing Image Captioning, "
                "IEEE TGRS 60, 2022",
            ),
        ),
        Source(
            "Sydney",
            "Sydney",
            "captioning",
            False,
            "Sydney-Captions",
            Distribution(
                images=613,
                suffix="tif",
                file_pattern=r"(?:.*/)?(?P<keep>\d+\.(?:tif|jpg))",
                url_sets=(),
                by_hand="https://github.com/201528014227051/RSICD_optimal (Sydney-Captions)",
                licence="for research; no licence is stated",
                citation="Qu, Li, Tao, Lu, Deep Semantic Understanding of High Resolution Remote Sensing Image, CITS "
                "2016; images: Zhang, Du, Zhang, Saliency-Guided Unsupervised Feature Learning for Scene "
                "Classification, IEEE TGRS 53(4), 2015",
            ),
        ),
        Source(
            "HR",
            "HR",
            "vqa",
            False,
            "RSVQA, high resolution",
            Distribution(
                images=10_659,
                suffix="tif",
                file_pattern=r"(?:.*/)?(?P<keep>\d+\.tif)",
                url_sets=(("https://zenodo.org/record/6344367/files/Images.tar",),),
                by_hand="https://zenodo.org/record/6344367 (Images.tar)",
                licence="CC BY 4.0",
                citation="Lobry, Marcos, Murray, Tuia, RSVQA: Visual Question Answering for Remote Sensing Data, "
                "IEEE TGRS 58(12), 2020",
            ),
            questions=HR_QUESTIONS,
        ),
        Source(
            "VRSBench",
            "VRSBench",
            None,
            False,
            "VRSBench: captions, questions and referring expressions on tiles of DOTA 2.0 and DIOR",
            Distribution(
                images=29_614,
                suffix="png",
                file_pattern=r"(?:.*/)?(?P<keep>P?\d+_\d+\.png)",
                url_sets=(
                    (
                        "hf://datasets/xiang709/VRSBench/Images_train.zip",
                        "hf://datasets/xiang709/VRSBench/Images_val.zip",
                    ),
                ),
                by_hand="https://huggingface.co/datasets/xiang709/VRSBench (Images_train.zip, Images_val.zip)",
                licence="CC BY 4.0; the images as DOTA's and DIOR's owners say",
                citation="Li, Ding, Elhoseiny, VRSBench: A Versatile Vision-Language Benchmark Dataset for Remote "
                "Sensing Image Understanding, NeurIPS 2024 Datasets and Benchmarks",
            ),
        ),
    )
}
DEFAULT_SOURCES = tuple(source.name for source in SOURCES.values() if source.default)

# default name of the source of images whose paths have no folder
UNNAMED = "unnamed"
# a first folder of image paths that settings and command lines can name
SOURCE_NAME = r"^[^._/\\,=\s][^/\\,=\s]*$"
# where records without an image are counted
TEXT_ONLY = "text only"


def source_of(image_path: str, unnamed: str = UNNAMED) -> str:
    """The source of an image: the first folder of its path, or `unnamed` where the path has no folder.

    TEXT_ONLY for the empty path of a record without an image.
    """
    if not image_path:
        return TEXT_ONLY
    folder, slash, _ = image_key(image_path).partition("/")
    return folder if slash else unnamed


def require_known(names: Iterable[str], unnamed: str | None = None, custom: Collection[str] = ()) -> None:
    """Raise ConfigError for the first name that is none of the registry's, `unnamed` or one of the user's own."""
    known = (*SOURCES, *custom)
    for name in names:
        if name not in known and name != unnamed:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}"
            advice = "" if close else ", or describe it in data.custom_sources."
            raise ConfigError(f"{name} is not a known source: {hint}{advice}")


def type_of_question(source: str, question: str, answer: str) -> QuestionType:
    """The type of a source's question, from the question and its reference answer."""
    patterns = SOURCES[source].questions if source in SOURCES else PATTERNS
    return question_type(question, answer, patterns)
