"""The house: what is said in one place is true in the others."""

import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import ldml
from ldml.dataset import load_dataset
from ldml.sample_data import generating_command, sample_directory, sample_manifest, sample_paths

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _requirement(text):
    """Name and bound of a requirement, its marker and extras left out."""
    return re.sub(r"\s", "", re.split(r"[;\[]", text)[0])


def test_environment_equals_pyproject(project):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    listed = {_requirement(item) for item in environment["dependencies"] if isinstance(item, str)} - {"pip"}
    wanted = {_requirement(item) for item in project["dependencies"] + project["optional-dependencies"]["app"]}
    assert listed == wanted | {f"python{project['requires-python']}"}


def test_one_version(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["version"] == ldml.__version__ == citation["version"]
    assert f"## {ldml.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_extras(project):
    assert {"app", "test", "bench", "cluster"} <= set(project["optional-dependencies"])


def test_readme_opens_with_a_screenshot_and_the_two_commands():
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:20])
    assert "make app" in first_screen
    assert "make test" in first_screen
    assert "conda env create" in first_screen
    assert "pip install" in first_screen
    (image,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", first_screen)
    assert (ROOT / image).stat().st_size > 10_000


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_public_names_resolve():
    for name in ldml.__all__:
        assert getattr(ldml, name) is not None
    assert set(ldml.__all__) <= set(dir(ldml))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ldml.nothing  # noqa: B018


def test_nothing_unpickles_or_evaluates():
    forbidden = re.compile(r"\bpickle\.\w|\beval\(|\bexec\(|yaml\.load\(|allow_pickle=True|joblib\.load")
    for source in [*(ROOT / "ldml").rglob("*.py"), *(ROOT / "dashboards").rglob("*.py"), ROOT / "app.py"]:
        assert not forbidden.search(source.read_text()), source


@pytest.mark.parametrize("name", sample_manifest() if (ROOT / "sample_data" / "manifest.json").is_file() else [])
def test_sample_data_are_what_the_manifest_says(name):
    record = sample_manifest()[name]
    assert {"files", "origin", "units", "licence", "command", "structures", "classes"} <= set(record)
    for path, part in zip(sample_paths(name), record["files"], strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == part["sha256"]
    data = load_dataset(name)
    assert len(data) == record["structures"]
    assert {label: int((data.labels == label).sum()) for label in set(data.labels)} == record["classes"]
    assert data.metadata["units"] == record["units"]
    assert generating_command(data) == record["command"]


def test_the_repository_stays_small():
    assert sum(f.stat().st_size for f in sample_directory().iterdir()) < 150e6
    assert json.loads((sample_directory() / "manifest.json").read_text())["datasets"]
