"""The house around the package: what the wheel holds, what is pinned, what is tracked, what the guide names."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "thinkaloud"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DEPENDENCIES = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
DEV_DEPENDENCIES = [Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["dev"]]
DOCS_DEPENDENCIES = [Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["docs"]]
PEER_DEPENDENCIES = [Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["peers"]]
PYTHONS = ("3.11", "3.12", "3.13")

BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"

FORBIDDEN = {
    "a path of somebody's machine": rb"/(?:root|home|Users|work|mnt|opt|srv|var|tmp)/\w",
    "a package index": rb"(?i)index-[u]rl\b|--find-[l]inks|trusted-[h]ost|://[^\s/]+/simple\b|file:/{3}",
    "a password in an address": rb"://[^\s/@:]+:[^\s/@]+@",
    "a secret": rb"\bhf_[A-Za-z0-9]{30,}|\bgh[pousr]_[A-Za-z0-9]{30,}|BEGIN [A-Z ]*PRIVATE KEY",
}
MAX_TRACKED_BYTES = 1_000_000


def package_files() -> set[str]:
    """Every file of the package, modules and data, as paths from `src`."""
    files = (path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(SOURCE.parent).as_posix() for path in files}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy so that nothing is written into the checkout, without any download."""
    for needed in map(Requirement, PROJECT["build-system"]["requires"]):
        try:
            found = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            found = "0"
        if found not in needed.specifier:
            pytest.skip(f"building a wheel needs {needed}, which `make setup` installs")
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(SOURCE, folder / "src" / "thinkaloud", ignore=shutil.ignore_patterns("__pycache__"))
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD, "."], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return zipfile.ZipFile(folder / run.stdout.splitlines()[-1])


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == package_files()
    data = {name for name in held if not name.endswith(".py")}
    assert {
        "thinkaloud/data/starter/math.jsonl",
        "thinkaloud/recipes/starter.toml",
        "thinkaloud/report/page.html.j2",
        "thinkaloud/py.typed",
    } <= data


def test_the_version_without_git_is_the_fallback(wheel: zipfile.ZipFile) -> None:
    (info,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    lines = wheel.read(f"{info}/METADATA").decode().splitlines()
    assert f"Version: {PROJECT['tool']['setuptools_scm']['fallback_version']}" in lines
    assert any(line.startswith("Keywords: GRPO") for line in lines)
    assert "Classifier: Typing :: Typed" in lines


def test_the_build_is_pinned_as_it_is_required() -> None:
    for needed in map(Requirement, PROJECT["build-system"]["requires"]):
        (pin,) = pinned("requirements.txt")[canonicalize_name(needed.name)]
        assert all(one.version in needed.specifier for one in pin.specifier)


def test_the_docker_image_gets_what_it_copies() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    named = {name for names in copied for name in names.split()}
    assert named == kept
    assert all((ROOT / name).exists() for name in named)


def test_the_wheel_names_its_command_and_licence(wheel: zipfile.ZipFile) -> None:
    (info,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    assert wheel.read(f"{info}/entry_points.txt").decode().split() == [
        "[console_scripts]",
        "thinkaloud",
        "=",
        "thinkaloud.cli:main",
    ]
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def pinned(*files: str) -> dict[str, list[Requirement]]:
    """The pins of requirements files, by package; a package may have one a Python."""
    pins: dict[str, list[Requirement]] = {}
    for file in files:
        for line in (ROOT / file).read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                requirement = Requirement(line)
                pins.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return pins


FILES = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-docs.txt",
    "requirements-peers.txt",
    "requirements-vllm.txt",
)


@pytest.mark.parametrize("file", FILES)
def test_pins_are_plain_and_exact(file: str) -> None:
    for pins in pinned(file).values():
        for pin in pins:
            assert pin.url is None
            assert [one.operator for one in pin.specifier] == ["=="], pin


def test_files_that_share_an_environment_agree() -> None:
    development, documentation = pinned("requirements-dev.txt"), pinned("requirements-docs.txt")
    for name in development.keys() & documentation.keys():
        assert development[name] == documentation[name]
    assert not pinned("requirements.txt").keys() & documentation.keys()


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_has_one_pin_within_its_range(python: str) -> None:
    for files, wanted in (
        (("requirements.txt",), DEPENDENCIES),
        (("requirements.txt", "requirements-dev.txt"), DEV_DEPENDENCIES),
        (("requirements.txt", "requirements-docs.txt"), DOCS_DEPENDENCIES),
        (("requirements-peers.txt",), [*DEPENDENCIES, *PEER_DEPENDENCIES]),
    ):
        pins = pinned(*files)
        for requirement in wanted:
            candidates = pins.get(canonicalize_name(requirement.name), [])
            # Linux, because a requirement that only Windows needs has no pin here.
            environment = {"python_version": python, "platform_system": "Linux"}
            matching = [pin for pin in candidates if pin.marker is None or pin.marker.evaluate(environment)]
            assert len(matching) == 1, f"{requirement} on Python {python}: {candidates}"
            (version,) = (one.version for one in matching[0].specifier)
            assert version in requirement.specifier, f"{matching[0]} is outside {requirement}"


def test_what_the_package_imports_is_declared() -> None:
    imported: dict[str, str] = {}
    for path in SOURCE.rglob("*.py"):
        # run in the peers' environment; imported where Tunix is the engine
        if path.match("bench/workers/peer_*.py") or path.match("train/tunix/*.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            else:
                continue
            imported.update({name.split(".")[0]: path.name for name in names})
    # The sandbox's modules import each other by bare name: they run as programs of their own.
    own = {"thinkaloud", *(path.stem for path in (SOURCE / "sandbox" / "inside").glob("*.py"))}
    optional = [
        Requirement(line)
        for extra in ("kaggle", "tunix")
        for line in PROJECT["project"]["optional-dependencies"][extra]
    ]
    declared = {canonicalize_name(requirement.name) for requirement in (*DEPENDENCIES, *optional)}
    # A module of an extra that is not installed here, where its distribution has another name
    distributions = {"orbax": ["orbax-checkpoint"], **importlib.metadata.packages_distributions()}
    undeclared = {
        f"{name} ({imported[name]})"
        for name in imported.keys() - own - set(sys.stdlib_module_names)
        if not declared & {canonicalize_name(found) for found in distributions.get(name, [name])}
    }
    assert undeclared == set()


def tracked_files() -> list[Path]:
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if run.returncode:
        pytest.skip("not a git checkout")
    paths = (ROOT / name.decode() for name in run.stdout.split(b"\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_tracked_file_is_large() -> None:
    large = {path.name: path.stat().st_size for path in tracked_files() if path.stat().st_size > MAX_TRACKED_BYTES}
    assert large == {}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = {}
    for path in tracked_files():
        if match := pattern.search(path.read_bytes()):
            found[path.relative_to(ROOT).as_posix()] = match[0]
    assert found == {}


@pytest.mark.parametrize(
    ("what", "text", "held"),
    [
        ("a path of somebody's machine", "/ho" + "me/ann/x", True),
        ("a path of somebody's machine", "/usr/bin/python3 and homework/x", False),
        ("a package index", "pip install --index" + "-url https://pypi.example/", True),
        ("a package index", "https://host.example/sim" + "ple", True),
        ("a package index", "set PIP_INDEX_URL to an index in reach", False),
        ("a password in an address", "https://ann" + ":pw@host.example", True),
        ("a password in an address", "https://host.example:8080/a@b", False),
        ("a secret", "hf_" + "a" * 34, True),
        ("a secret", "hf_config", False),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, text: str, held: bool) -> None:
    assert bool(re.search(FORBIDDEN[what], text.encode())) is held


GUIDES = ("README.md", "CONTRIBUTING.md")


@pytest.mark.parametrize("guide", GUIDES)
def test_make_targets_that_a_guide_names_exist(guide: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / guide).read_text("utf-8"), re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("guide", GUIDES)
def test_commands_that_a_guide_names_exist(guide: str) -> None:
    import click
    import typer

    from thinkaloud.cli import app

    known = set(typer.main.get_command(app).list_commands(click.Context(click.Command("thinkaloud"))))  # type: ignore[attr-defined]
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```$", (ROOT / guide).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    named = {name for block in blocks for name in re.findall(r"(?:^|\| )thinkaloud ([a-z]+)", block, re.MULTILINE)}
    assert named
    assert named <= known


def test_paths_that_the_guide_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    example = {"src/thinkaloud/domains/ordering.py", "tests/domains/test_ordering.py"}
    example |= {"src/thinkaloud/data/starter/ordering.jsonl"}
    named = set(re.findall(r"(?:src|tests|scripts|recipes|docs|\.ci)/[\w./-]*\w", text)) - example
    assert named >= {"src/thinkaloud/config/recipe.py", "scripts/make_goldens.py"}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
