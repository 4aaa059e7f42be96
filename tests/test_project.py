"""pyproject.toml and infra/constraints.txt agree with each other and with what PyPI's packages break on."""

import re
import tomllib
from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.locations import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDS_A_GPU_TO_BUILD = {"flash-attn"}


def required() -> dict[str, Requirement]:
    """The requirements of rsvlm and all its extras."""
    extras = (text for texts in PROJECT["optional-dependencies"].values() for text in texts)
    requirements = map(Requirement, [*PROJECT["dependencies"], *extras])
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def pinned() -> dict[str, str]:
    """The version of each package in the constraints."""
    lines = (REPO / "infra" / "constraints.txt").read_text(encoding="utf-8").split("\n")
    pins = [line.partition("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in pins}


def test_every_requirement_has_an_exact_version_within_its_bounds() -> None:
    pins = pinned()
    outside = {
        name: pins.get(name)
        for name, requirement in required().items()
        if name not in NEEDS_A_GPU_TO_BUILD
        and not (name in pins and requirement.specifier.contains(pins[name], prereleases=True))
    }
    assert outside == {}


def test_a_constraint_is_a_name_and_a_public_version() -> None:
    assert len(pinned()) > 150
    assert [name for name, version in pinned().items() if not re.fullmatch(r"[0-9][0-9a-z.]*", version)] == []


def test_torch_is_pinned_in_the_constraints_alone() -> None:
    # a CUDA node brings the build of PyTorch that fits its driver
    assert not any(specifier.operator == "==" for specifier in required()["torch"].specifier)


def test_releases_that_break_prefect_are_excluded() -> None:
    # without the constraints pip would take them: users install rsvlm by itself
    specifiers = {name: required()[name].specifier for name in ("fastapi", "sqlalchemy")}
    assert not specifiers["fastapi"].contains("0.152.0") and not specifiers["sqlalchemy"].contains("2.1.0")


def test_the_bounds_of_boto3_match_aiobotocore() -> None:
    # without the bounds pip tries old releases of both for minutes and gives up over a third package
    (botocore,) = (need for need in map(Requirement, requires("aiobotocore") or ()) if need.name == "botocore")
    (boto3,) = (need for need in map(Requirement, PROJECT["optional-dependencies"]["s3"]) if need.name == "boto3")
    assert boto3.specifier == botocore.specifier


def test_promised_packages_are_main_dependencies() -> None:
    main = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert main >= {"prefect", "torch", "transformers", "peft", "deepspeed", "pycocoevalcap", "boto3", "wandb"}
    assert "flash-attn" in str(PROJECT["optional-dependencies"]["gpu"])
    assert "gradio" in str(PROJECT["optional-dependencies"]["serve"])
