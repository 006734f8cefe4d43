# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release is refused for, and where its version is written."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.checks import release
from ansible_collections.accel.qat.tools.checks.bill import bill_of
from ansible_collections.accel.qat.tools.checks.release import Refused
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT, CommandFailed, Shell


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


@pytest.mark.parametrize("name", ["plugins/modules/new.py", "roles/qat_new/meta/argument_specs.yml"])
def test_what_no_release_has_brought(checkout: Path, name: str) -> None:
    released(checkout, "1.0.0")
    page = checkout / name
    page.parent.mkdir(parents=True)
    page.write_text('module: new\nversion_added: 1.0.0\noptions:\n  late:\n    version_added: "1.0.0"\n')
    release.refuse_unreleased(checkout)
    page.write_text(page.read_text().replace('"1.0.0"', '"0.9.0"'))
    reason = f'{name}: version_added "0.9.0" is no release of the changelog; write the one that brings it'
    with pytest.raises(Refused, match=f"^{re.escape(reason)}$"):
        release.refuse_unreleased(checkout)


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
    for name in ("galaxy.yml", *release.NAMED_IN, release.PLUGIN, release.CONTAINERFILE, *release.MANIFESTS):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, checkout / name)
    release.set_version("12.3.4", checkout)
    assert release.version_here(checkout) == "12.3.4"
    for name in release.NAMED_IN:
        text = (checkout / name).read_text()
        assert "accel-qat-12.3.4.tar.gz" in text
        assert f"accel-qat-{before}.tar.gz" not in text
    assert '\n__version__ = "12.3.4"\n' in (checkout / release.PLUGIN).read_text()
    assert 'org.opencontainers.image.version="12.3.4"' in (checkout / release.CONTAINERFILE).read_text()
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


# What is built.


def builder(*contents: dict[str, str]) -> Callable[[Shell, Path], None]:
    """Makes these files at each time that it is called."""
    turns = iter(contents)

    def build(_shell: Shell, output: Path) -> None:
        for name, text in next(turns).items():
            (output / name).write_text(text)

    return build


def test_every_artifact_is_built_for_a_release() -> None:
    """Each module of tools/artifacts that has a command."""
    modules = (CHECKOUT / "tools/artifacts").glob("*.py")
    commands = {path.stem for path in modules if '__name__ == "__main__"' in path.read_text()}
    assert {*release.BUILDERS} == {release.COLLECTION, *commands}


def test_what_is_the_same_twice_is_put_where_it_belongs(tmp_path: Path) -> None:
    made = release.made_twice(Shell(), "all", builder({"b": "1", "a": "2"}, {"a": "2", "b": "1"}), tmp_path / "dist")
    assert made == [tmp_path / "dist/a", tmp_path / "dist/b"]
    assert [path.read_text() for path in made] == ["2", "1"]


@pytest.mark.parametrize(
    ("second", "named"), [({"a": "3", "b": "1"}, "a"), ({"a": "2"}, "b"), ({"a": "2", "b": "2", "c": ""}, "b, c")]
)
def test_what_differs_is_not_released(tmp_path: Path, second: dict[str, str], named: str) -> None:
    with pytest.raises(CommandFailed, match=f"^all: {named} differ from what was made of the same files before$"):
        release.made_twice(Shell(), "all", builder({"a": "2", "b": "1"}, second), tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def test_a_builder_that_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"^all: nothing was made$"):
        release.made_twice(Shell(), "all", builder({}, {}), tmp_path / "dist")


def test_sums_are_those_that_sha256sum_checks(tmp_path: Path) -> None:
    """Of what was made, and of nothing that was there before."""
    for name in ("b", "a", "older"):
        (tmp_path / name).write_text(name)
    release.write_sums([tmp_path / "b", tmp_path / "a"], tmp_path / release.SUMS)
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", release.SUMS], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert checked.stdout == "a: OK\nb: OK\n"


def test_list_and_sums_are_written_again_for_what_was_signed(tmp_path: Path) -> None:
    """For the files of the release, and nothing else that is there by then."""
    files = [tmp_path / name for name in ("accel-qatctl-1.0.0-1.noarch.rpm", "accel-qat-1.0.0.tar.gz")]
    for path in files:
        path.write_text(path.name)
    release.write_lists(files, tmp_path, "1.0.0", 0)
    names = listed(tmp_path)
    files[0].write_text("signed")
    (tmp_path / "SHA256SUMS.asc").touch()
    release.write_lists_again(tmp_path, "1.0.0", 0)
    assert listed(tmp_path) == names
    assert names == {*(path.name for path in files), "accel-qat-1.0.0.spdx.json"}
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", release.SUMS], cwd=tmp_path, check=True)
    bill = json.loads((tmp_path / "accel-qat-1.0.0.spdx.json").read_text())
    hashes = {part["packageFileName"]: part["checksums"][0]["checksumValue"] for part in bill["packages"]}
    assert hashes == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def listed(directory: Path) -> set[str]:
    return {line.split()[1] for line in (directory / release.SUMS).read_text().splitlines()}


def test_no_list_of_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"/SHA256SUMS is not there; run make release first$"):
        release.write_lists_again(tmp_path, "1.0.0", 0)
    (tmp_path / release.SUMS).write_text(f"{'0' * 64}  accel-qat-1.0.0.tar.gz\n")
    with pytest.raises(
        Refused, match=r"/accel-qat-1\.0\.0\.tar\.gz is not there, but SHA256SUMS names it; run make release again$"
    ):
        release.write_lists_again(tmp_path, "1.0.0", 0)


def test_the_page_names_the_command_of_each_builder() -> None:
    page = (CHECKOUT / "docs/releasing.md").read_text()
    rows = "\n".join(re.findall(r"^\| (.+?) \|", page.partition("| built by |")[2], re.M))
    commands = {"collection": "make build", "device_plugin": "tools/artifacts/device_plugin.py"}
    for name in release.BUILDERS:
        assert f"`{commands.get(name, f'make {name}')}`" in rows


GRPC = {
    "name": "grpcio",
    "version": "1.2.3",
    "purl": "pkg:pypi/grpcio@1.2.3",
    "licenses": [{"expression": "Apache-2.0"}],
}


def bundle_of(path: Path, *components: object) -> Path:
    content = json.dumps({"components": components}).encode()
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo("bom.cdx.json")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return path


def test_the_list_names_each_file_and_what_the_bundles_contain(tmp_path: Path) -> None:
    other = {**GRPC, "version": "1.1.0", "purl": "pkg:pypi/grpcio@1.1.0", "licenses": [{"license": {"name": "words"}}]}
    files = [
        bundle_of(tmp_path / "qat-device-plugin-1.0.0-py3.9-0123456789.tar.gz", other),
        bundle_of(tmp_path / "qat-device-plugin-1.0.0-py3.11-0123456789.tar.gz", GRPC),
        tmp_path / "accel-qat-device-plugin_1.0.0-1.py3.11_amd64.deb",
        tmp_path / "accel-qat-1.0.0.tar.gz",
    ]
    for path in files[2:]:
        path.write_text(path.name)
    document = json.loads(bill_of(files, "1.0.0", 1_700_000_000))
    assert bill_of(reversed(files), "1.0.0", 1_700_000_000) == bill_of(files, "1.0.0", 1_700_000_000)
    assert document["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    parts = {part["SPDXID"]: part for part in document["packages"]}
    assert {part["packageFileName"] for part in parts.values() if "checksums" in part} == {path.name for path in files}
    contains = [
        (parts[one["spdxElementId"]]["name"], parts[one["relatedSpdxElement"]]["versionInfo"])
        for one in document["relationships"]
        if one["relationshipType"] == "CONTAINS"
    ]
    assert sorted(contains) == [
        ("accel-qat-device-plugin_1.0.0-1.py3.11_amd64.deb", "1.2.3"),
        ("qat-device-plugin-1.0.0-py3.11-0123456789.tar.gz", "1.2.3"),
        ("qat-device-plugin-1.0.0-py3.9-0123456789.tar.gz", "1.1.0"),
    ]
    licences = {part["versionInfo"]: part["licenseDeclared"] for part in parts.values() if part["name"] == "grpcio"}
    assert licences == {"1.2.3": "Apache-2.0", "1.1.0": "NOASSERTION"}
    assert [one["relatedSpdxElement"] in parts for one in document["relationships"]] == [True] * 7
