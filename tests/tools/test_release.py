# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release is refused for, and where its version is written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.checks import release
from ansible_collections.accel.qat.tools.checks.release import Refused
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    """A checkout of version 1.0.0, with nothing in its changelog."""
    for name in ("changelogs/fragments", "docs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "galaxy.yml").write_text("name: qat\nversion: 1.0.0\nreadme: README.md\n")
    released(tmp_path)
    return tmp_path


def released(checkout: Path, *versions: str) -> None:
    lines = [f"  {version}: {{}}\n" for version in versions]
    (checkout / "changelogs/changelog.yaml").write_text(f"releases:{'' if lines else ' {}'}\n{''.join(lines)}")


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0-rc1", "1.0.0\n", "", "latest"])
def test_what_is_no_version(version: str) -> None:
    with pytest.raises(Refused, match="it is not a version; write three numbers, as"):
        release.number(version)


@pytest.mark.parametrize(
    ("version", "known"), [("0.9.0", ["1.0.0"]), ("1.0.0", ["1.0.0"]), ("1.9.0", ["1.10.0", "1.2.0"])]
)
def test_a_version_that_is_not_later(checkout: Path, version: str, known: list[str]) -> None:
    released(checkout, *known)
    with pytest.raises(Refused, match=rf"{version}: the changelog has {known[0]} already; name a later version"):
        release.refuse_older(version, checkout)


@pytest.mark.parametrize(("version", "known"), [("0.1.0", []), ("1.10.0", ["1.9.0"]), ("2.0.0", ["1.0.0", "1.1.0"])])
def test_a_later_version(checkout: Path, version: str, known: list[str]) -> None:
    released(checkout, *known)
    release.refuse_older(version, checkout)


def test_a_version_that_the_changelog_lacks(checkout: Path) -> None:
    with pytest.raises(
        Refused, match=r"1\.0\.0 is not in the changelog; run make release PREPARE=1\.0\.0, and commit it"
    ):
        release.refuse_unprepared(checkout)


def test_a_version_that_is_not_the_newest(checkout: Path) -> None:
    released(checkout, "1.0.0", "1.1.0")
    with pytest.raises(Refused, match="is not the newest in the changelog"):
        release.refuse_unprepared(checkout)


def test_a_change_that_the_changelog_lacks(checkout: Path) -> None:
    released(checkout, "1.0.0")
    release.refuse_unprepared(checkout)
    (checkout / "changelogs/fragments/late.yml").write_text("bugfixes: [late]\n")
    with pytest.raises(Refused, match=r"changelogs/fragments: late\.yml came after 1\.0\.0"):
        release.refuse_unprepared(checkout)


def test_a_checkout_that_differs_from_its_commit(checkout: Path) -> None:
    subprocess.run(["git", "init", "--quiet", checkout], check=True)
    with pytest.raises(
        Refused, match=r"the checkout differs from its commit; commit or remove first:(\n.*)*galaxy\.yml"
    ):
        release.refuse_changes(checkout)
    who = ("-c", "user.name=n", "-c", "user.email=n@example.com")
    subprocess.run(["git", "-C", checkout, "add", "."], check=True)
    subprocess.run(["git", "-C", checkout, *who, "commit", "--quiet", "-m", "All"], check=True)
    release.refuse_changes(checkout)


def test_the_version_is_written_wherever_it_stands(checkout: Path) -> None:
    before = release.version_here(CHECKOUT)
    for name in ("galaxy.yml", *release.NAMED_IN, release.PLUGIN, *release.MANIFESTS):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, checkout / name)
    release.set_version("12.3.4", checkout)
    assert release.version_here(checkout) == "12.3.4"
    for name in release.NAMED_IN:
        text = (checkout / name).read_text()
        assert "accel-qat-12.3.4.tar.gz" in text
        assert f"accel-qat-{before}.tar.gz" not in text
    assert '\n__version__ = "12.3.4"\n' in (checkout / release.PLUGIN).read_text()
    for name in release.MANIFESTS:
        text = (checkout / name).read_text()
        assert before not in text
        assert text.count("12.3.4") == len(release.MANIFESTS[name])


def test_the_device_plugin_has_the_version_of_the_collection() -> None:
    assert f'\n__version__ = "{release.version_here(CHECKOUT)}"\n' in (CHECKOUT / release.PLUGIN).read_text()


def test_no_other_page_names_the_archive_of_this_version() -> None:
    """But that of releases, whose version is an example."""
    named = f"accel-qat-{release.version_here(CHECKOUT)}.tar.gz"
    pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md"), *(CHECKOUT / "roles").glob("*/README.md")]
    names = {str(page.relative_to(CHECKOUT)) for page in pages if named in page.read_text()}
    assert names - {"docs/releasing.md"} == {*release.NAMED_IN}
