"""Commands, settings, messages, links and examples in the docs match the code."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter
from support.locations import REPO

from flows.cli import build_parser
from tasks.settings import ExperimentConfig

PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]
OURS = [path for room in ("flows", "tasks", "deployments") for path in sorted((REPO / room).rglob("*.py"))]
SECTIONS = "|".join(ExperimentConfig.model_fields)
# commands in code blocks without a language; all other lines are listings
PROGRAMS = ("rsvlm", "make", "pip", "prefect", "docker", "kubectl", "cp", "printf", "set")
ELSEWHERE = {"docker": "needs Docker", "kubectl": "needs a cluster"}
PLACEHOLDER = re.compile(r"\bN(AME)?\b")
ON_GPUS = re.compile(r"\b(run|train) (llava|qwen)")


class Command(NamedTuple):
    """A command of a page; `before` is the text between it and the previous block or heading."""

    page: str
    line: str
    before: str

    @property
    def program(self) -> str:
        return self.line.split()[0].removeprefix(".venv/bin/")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands() -> Iterator[Command]:
    for page in PAGES:
        text = read(page).replace("\\\n", " ")
        for block in re.finditer(r"^ *```(?:sh|bash)?\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
            before = re.split(r"^ *```$|^(?=#)", text[: block.start()], flags=re.MULTILINE)[-1]
            for line in filter(None, map(str.strip, block[1].split("\n"))):
                command = Command(page.name, line, " ".join(before.split()))
                if command.program in PROGRAMS:
                    yield command


def spans() -> Iterator[tuple[str, str]]:
    """Every text between backticks, with its page."""
    for page in PAGES:
        text = re.sub(r"^ *```.*?^ *```$", "", read(page), flags=re.DOTALL | re.MULTILINE)
        yield from ((page.name, span) for span in re.findall(r"`([^`]+)`", text))


COMMANDS = list(commands())
RSVLM = [each for each in COMMANDS if "rsvlm " in each.line and each.program in ("rsvlm", "printf")]


def words_of(line: str) -> list[str]:
    """The words of an rsvlm command after its name, with optional parts, without redirection."""
    command = re.sub(r"[\[\]]", "", line.rpartition(" | ")[2].partition(" > ")[0]) if "--set" not in line else line
    return shlex.split(command)[1:]


@pytest.mark.parametrize("command", RSVLM, ids=lambda each: f"{each.page}: {each.line[:60]}")
def test_a_documented_command_is_accepted_by_the_parser(command: Command) -> None:
    assert build_parser().parse_args(words_of(command.line)).run


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_in_sentences_and_tables_exist_with_their_options(page: Path) -> None:
    for span in (span for name, span in spans() if name == page.name and re.match(r"rsvlm [a-z]", span)):
        parser, words = build_parser(), re.sub(r"[\[\]]", "", span).split()[1:]
        while (inner := next((each for each in parser._actions if isinstance(each.choices, dict)), None)) and words:
            assert words[0] in (inner.choices or {}), span
            parser, words = dict(inner.choices or {})[words[0]], words[1:]
        options = {name for action in parser._actions for name in action.option_strings}
        assert {word for word in words if word.startswith("--")} <= options, span


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if ON_GPUS.search(each.line)], ids=lambda each: each.line[:60]
)
def test_commands_that_need_a_gpu_are_marked(command: Command) -> None:
    # no test runs these
    assert "needs a GPU" in command.before


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if each.program in ELSEWHERE], ids=lambda each: each.line[:60]
)
def test_commands_that_need_docker_or_a_cluster_are_marked_and_name_existing_files(command: Command) -> None:
    assert ELSEWHERE[command.program] in command.before
    named = re.findall(r"\binfra/[\w./-]+", command.line)
    assert [name for name in named if not (REPO / name).exists()] == []


def test_make_has_the_documented_targets() -> None:
    targets = set(re.findall(r"^([\w-]+):", read(REPO / "Makefile"), re.MULTILINE))
    named = {each.line.split()[1] for each in COMMANDS if each.program == "make"}
    assert named and named <= targets


def field_of(path: str) -> Any:
    """A setting by its dotted path, or None."""
    found: Any = None
    model: Any = ExperimentConfig
    for name in path.split("."):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            # an entry of a table by name, such as data.mirrors.LR
            return found
        fields = model.model_fields
        aliases = {
            str(choice): field for field in fields.values() for choice in getattr(field.validation_alias, "choices", ())
        }
        found = fields.get(name) or aliases.get(name)
        if found is None:
            return None
        model = found.annotation
    return found


def shown_settings() -> Iterator[tuple[str, str, str | None]]:
    """Page, path and value of every setting that is named."""
    pattern = re.compile(rf"((?:{SECTIONS})(?:\.[A-Za-z_]\w*)+)(?:=(.+)|: (\S+))?")
    for page, span in spans():
        if match := pattern.fullmatch(span.removeprefix("--set ")):
            yield page, match[1], match[2] or match[3]
    for command in RSVLM:
        for override in re.findall(r"--set[ =](\S+)", command.line):
            path, _, value = override.partition("=")
            yield command.page, path, value


@pytest.mark.parametrize(("page", "path", "value"), sorted(set(shown_settings()), key=str))
def test_a_setting_exists_and_takes_the_value(page: str, path: str, value: str | None) -> None:
    if path == "training.NAME":
        return
    field = field_of(path)
    assert field is not None, f"{page}: {path} is not a setting"
    if value is not None and path.count(".") == 1 and not PLACEHOLDER.search(value):
        kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        TypeAdapter(kind).validate_python(yaml.safe_load(value))


def test_many_settings_are_shown() -> None:
    assert len(list(shown_settings())) > 80


def test_the_page_of_parameters_is_up_to_date() -> None:
    from deployments.parameters_page import PAGE, render_parameters

    assert read(PAGE) == render_parameters(), "write it again: python -m deployments.parameters_page"


def test_the_page_of_parameters_names_every_setting_once() -> None:
    named = re.findall(rf"^\| `((?:{SECTIONS})\.[\w.]+)`", read(REPO / "docs" / "parameters.md"), re.MULTILINE)
    leaves = list(leaf_paths(ExperimentConfig.model_validate({}).as_plain()))
    assert sorted(named) == sorted(leaves) and len(named) > 90


def leaf_paths(values: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaf_paths(value, f"{before}{name}.")
        else:
            yield before + name


@cache
def source_texts() -> list[str]:
    """Every string of the code, with \\0 for each inserted value."""
    found = []
    for path in OURS:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


MESSAGES = re.findall(r"^\| `([^`]+)` \|", read(REPO / "docs" / "troubleshooting.md"), re.MULTILINE)


@pytest.mark.parametrize("message", MESSAGES)
def test_an_explained_message_exists_in_the_code(message: str) -> None:
    pattern = re.compile(".*".join(map(re.escape, message.split("..."))), re.DOTALL)
    assert any(pattern.search(text) for text in source_texts())


def test_the_most_likely_messages_are_explained() -> None:
    assert len(MESSAGES) > 30 and len(set(MESSAGES)) == len(MESSAGES)


def test_the_extras_that_are_named_exist() -> None:
    extras = tomllib.loads(read(REPO / "pyproject.toml"))["project"]["optional-dependencies"]
    named = {name for path in [*PAGES, *OURS] for name in re.findall(r"rsvlm\[(\w+)\]", read(path))}
    assert named and named <= set(extras)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", read(page)) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_has_one_title(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```$", "", read(page), flags=re.DOTALL | re.MULTILINE)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((?:docs/)?([\w-]+\.md)\)", read(PAGES[0])))
    assert {page.name for page in PAGES[1:]} - linked == set()


def examples(page: str) -> list[dict[str, Any]]:
    """What the python blocks of a page define."""
    found = []
    for block in re.findall(r"^```python\n(.*?)^```$", read(REPO / "docs" / page), re.DOTALL | re.MULTILINE):
        names: dict[str, Any] = {}
        exec(compile(block, page, "exec"), names)
        found.append(names)
    return found


def test_the_examples_of_extending_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.evaluation.caption_metrics import CaptionSet
    from tasks.inference.engines.base import Engine, Refusal
    from tasks.records import Question
    from tasks.sources import SOURCES, type_of_question
    from tasks.turn_tasks import turn_tasks

    source, metric, engine, entry = examples("extending.md")
    monkeypatch.setitem(SOURCES, "FLOODNET", source["FLOODNET"])
    asked = {"from": "human", "value": "What is flooded?"}
    assert turn_tasks({"image": "FLOODNET/images/1.jpg", "conversations": [asked]}) == ("vqa",)
    assert type_of_question("FLOODNET", "What is flooded?", "the road") == "presence"
    captions = CaptionSet("NWPU", ("a", "b"), ("a road", "trees"), (("a long road", "a road and"), ("trees",)))
    length = metric["LENGTH"].score(captions)
    assert length.corpus == pytest.approx(5 / 6) and list(length.each) == pytest.approx([2 / 3, 1])
    says_yes: Engine = engine["YesEngine"]()
    asked = [
        Question(key=str(n), record=n, turn=0, image=image, turns=(("human", "Is it?"),))
        for n, image in enumerate(["a.png", None, "a.png"])
    ]
    outcomes = [outcome for batch in says_yes.answer(asked) for outcome in batch]
    assert len(outcomes) == 3 and [type(one) for one in outcomes].count(Refusal) == 1
    assert engine["prepare"](None).load is engine["YesEngine"] and entry["YES"].is_exact("bfloat16")


def test_the_files_that_extending_names_exist() -> None:
    text = read(REPO / "docs" / "extending.md")
    for names, file in re.findall(r"^\| `(\w+)`.* in `(tasks/[\w/.]+)` \|", text, re.MULTILINE):
        assert re.search(rf"^(def )?{names}\b", read(REPO / file), re.MULTILINE), (names, file)
    assert all((REPO / name).exists() for name in re.findall(r"`((?:tasks|flows|tests)/[\w/.]+)`", text))
