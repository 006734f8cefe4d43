# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the operating system, deb and rpm, in dist/: qatctl, the service qat-node, and the device plugin.

What a package says of itself is in deploy/packages; its files are made here, of the same sources and templates by which the roles set
up a node. nfpm puts both together. The same commit gives the same bytes.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from ansible_collections.accel.qat.device_plugin import bundle
from ansible_collections.accel.qat.plugins.action import qatctl
from ansible_collections.accel.qat.plugins.module_utils._host.installed import QATCTL_PACKAGE
from ansible_collections.accel.qat.tools.building import host
from ansible_collections.accel.qat.tools.building.errors import ToolError

from . import go_programs, manual
from .unit_templates import unit_templates

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = CHECKOUT / "deploy/packages"
DIST = CHECKOUT / "dist"
NODE_ROLE = CHECKOUT / "roles/qat_node"
PLUGIN_ROLE = CHECKOUT / "roles/qat_device_plugin"

FORMATS = ("deb", "rpm")
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Architectures as Debian and nfpm name them, and as wheels and rpm do."""
PYTHONS: Mapping[str, Sequence[str]] = {
    "deb": ("3.10", "3.11", "3.12", "3.13", "3.14"),
    "rpm": ("3.9", "3.11", "3.12", "3.13", "3.14"),
}
"""Of the device plugin there is a package for each, by format: docs/packages.md says which distribution has which."""
RELEASE = "1"
"""Of a package whose version is there already: a later one."""

UNITS = "/usr/lib/systemd/system"
RULES = "/etc/accel-qat/node.json"
RECORD_DIRECTORY = "/var/lib/accel-qat"
SETTINGS = "/etc/accel-qat/device-plugin.conf"
QATCTL = "/usr/sbin/qatctl"
ENGINE = "/usr/lib/accel-qat/qatctl"
PLUGIN = "/usr/lib/accel-qat/device-plugin"
MAINTAINER = "accel.qat contributors <accel-qat@users.noreply.github.com>"
PLACE = "https://github.com/accel-qat/accel.qat"

# With -I nothing of the caller's PYTHON... variables comes into it, nor the directory of this file, whatever link leads here.
_QATCTL = f"""\
#!/usr/bin/python3 -I
# The engine is in {ENGINE}/{QATCTL_PACKAGE}/
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..{ENGINE.removeprefix("/usr")}"))

"""
# A rule that most nodes begin with.
_EXAMPLE = {"devices": [{"services": ["sym", "asym"]}]}


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a package. `kind` is one of nfpm's types of contents; `only` is the format that has it, of one that not all have."""

    content: bytes
    mode: int = 0o644
    kind: str = "file"
    only: str = ""


Files = dict[str, File]
"""Files by their paths on the node."""


@dataclasses.dataclass(frozen=True)
class Package:
    """What one package has besides its description. Units as the scripts in deploy/packages/scripts name them."""

    name: str
    files: Files
    architecture: str = "all"
    release: str = RELEASE
    python: str = ""
    library: str = ""
    enabled: Sequence[str] = ()
    reloaded: Sequence[str] = ()
    optional: Sequence[str] = ()
    directories: Sequence[str] = ()
    """Those that are there from the beginning, without a file."""


class PackagesError(Exception):
    """What is wrong, and what to do."""


def of_qatctl() -> Package:
    """The command, with the engine as modules, so that byte code can lie beside them."""
    packed = qatctl.pack("/usr/bin/python3")
    main = packed.sources["__main__.py"]
    files = {f"{ENGINE}/{name}": File(text) for name, text in packed.sources.items() if name != "__main__.py"}
    return Package(
        "accel-qatctl",
        {
            QATCTL: File(_QATCTL.encode() + main, 0o755),
            "/usr/share/man/man8/qatctl.8.gz": File(manual.page(version(), PLACE), kind="doc"),
            **files,
        },
        python="/usr/bin/python3",
        library=ENGINE,
    )


def of_node() -> Package:
    """The service that applies the rules at boot and after a reset, and what starts it."""
    name = "accel-qat-node"
    defaults = _yaml(NODE_ROLE / "defaults/main.yml")
    variables = {**defaults, "qat_node_qatctl_path": QATCTL}

    def rendered(template: str) -> File:
        text = unit_templates(NODE_ROLE).get_template(template).render(**variables)
        return File(_of_package(text, name).encode())

    example = json.dumps(_EXAMPLE, indent=2) + "\n"
    return Package(
        name,
        {
            f"{UNITS}/qat-node.service": rendered("qat-node.service.j2"),
            "/usr/lib/udev/rules.d/80-accel-qat.rules": rendered("udev.rules.j2"),
            "/usr/lib/modules-load.d/accel-qat.conf": rendered("modules-load.conf.j2"),
            **_document(name, "examples/node.json", example),
            **_preset(name, "qat-node.service"),
        },
        enabled=["qat-node.service"],
        directories=[os.path.dirname(RULES), RECORD_DIRECTORY],
    )


def of_device_plugin(python: str, architecture: str, work: Path) -> Package:
    """The device plugin with its libraries for one Python, and its services. Raises bundle.BundleError."""
    name = "accel-qat-device-plugin"
    _release, archive = bundle.bundle(python, MACHINES[architecture], work)
    files, components = _of_bundle(archive, python)
    main, *optional = _plugin_units(name, python)
    unit, text = main
    settings = re.findall(r"^Environment=(QAT_DEVICE_PLUGIN_\S+)$", text, re.M)
    form = (SOURCES / "files/device-plugin.conf").read_text()
    about = "".join(f"#{line}\n" for line in settings if not line.startswith("QAT_DEVICE_PLUGIN_CONFIG="))
    return Package(
        name,
        {
            **files,
            f"{UNITS}/{unit}": File(text.encode()),
            **{f"{UNITS}/{other}": File(words.encode()) for other, words in optional},
            SETTINGS: File(form.replace("@SETTINGS@\n", about).encode(), kind="config|noreplace"),
            f"/usr/share/doc/{name}/copyright": File(_copyright(components).encode(), only="deb"),
            f"/usr/share/lintian/overrides/{name}": File(
                (SOURCES / "files/lintian-overrides").read_bytes(), only="deb"
            ),
            **_preset(name, unit),
        },
        architecture,
        f"{RELEASE}.py{python}",
        f"/usr/bin/python{python}",
        f"{PLUGIN}/lib",
        enabled=[unit],
        reloaded=[unit],
        optional=[other for other, _words in optional],
    )


def _of_bundle(archive: Path, python: str) -> tuple[Files, Sequence[Mapping[str, t.Any]]]:
    """The files of a bundle, with commands that name their Python, and the components of its bill of materials."""
    files: Files = {}
    components: Sequence[Mapping[str, t.Any]] = ()
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is None:
                continue
            content = stream.read()
            if member.name.startswith("bin/"):
                first = f"#!/usr/bin/python{python} -I".encode()
                files[f"{PLUGIN}/{member.name}"] = File(first + content[content.index(b"\n") :], 0o755)
            elif member.name.startswith(("lib/", f"{bundle.LICENCES}/")):
                files[f"{PLUGIN}/{member.name}"] = File(content)
            elif member.name == bundle.BILL:
                files[f"{PLUGIN}/{member.name}"] = File(content)
                components = json.loads(content)["components"]
    return files, components


def _plugin_units(name: str, python: str) -> list[tuple[str, str]]:
    """The names and the texts of the units, the device plugin's first."""
    known = _yaml(PLUGIN_ROLE / "vars/main.yml")
    kept = {key: value for key, value in known.items() if "{{" not in str(value)}
    variables = {
        **_yaml(PLUGIN_ROLE / "defaults/main.yml"),
        **kept,
        "qat_device_plugin_python": f"/usr/bin/python{python}",
        "__qat_device_plugin_current": PLUGIN,
        "__qat_device_plugin_chosen": "",
        "__qat_device_plugin_configuration_checksum": "",
        "__qat_device_plugin_kubelet_root": "",
    }
    texts = []
    for key in ("__qat_device_plugin_unit", "__qat_device_plugin_exporter_unit", "__qat_device_plugin_vm_attach_unit"):
        text = unit_templates(PLUGIN_ROLE).get_template(f"{known[key]}.j2").render(**variables)
        if key == "__qat_device_plugin_unit":
            text = _with_settings(text)
        texts.append((str(known[key]), _stamped(_of_package(text, name), known["__qat_device_plugin_stamp"])))
    return texts


def _with_settings(unit: str) -> str:
    """The unit with settings from a file, and not started without rules.

    The line that removes the specification of CDI goes: whether CDI is on is known only in the file.
    """
    rm = re.compile(r"^# What it wrote while CDI was on would grow old\.\nExecStartPre=\+rm -f \S+\n", re.M)
    unit = _once(rm, "", unit)
    unit = _once(
        re.compile(r"^(?=\[Service\]$)", re.M),
        f"ConditionPathExists={RULES}\n\n",
        unit.replace("\n\n[Service]", "\n[Service]"),
    )
    last = re.compile(r"^(?=# A process shows by it whether it is of this unit\.$)", re.M)
    return _once(last, f"# It goes before what stands above.\nEnvironmentFile=-{SETTINGS}\n", unit)


def _once(pattern: re.Pattern[str], text: str, whole: str) -> str:
    changed, number = pattern.subn(text, whole)
    if number != 1:
        raise PackagesError(
            f"the template of a unit has {number} places for {pattern.pattern}; adapt {Path(__file__).name}"
        )
    return changed


def _of_package(text: str, name: str) -> str:
    """The text of a template of a role without its first lines, which say that the role manages it."""
    head = re.match(r"\n?(?:# (?:Managed by|Release|For) ?.*\n)+", text)
    if head is None:
        raise PackagesError(f"a template for {name} does not say who manages it; adapt {Path(__file__).name}")
    return f"# Of the package {name}\n{text[head.end() :]}"


def _stamped(unit: str, variable: str) -> str:
    """The unit with a hash of itself, by which a process shows whether it is of this unit."""
    pattern = re.compile(rf"(?<=^Environment={variable}=)[0-9a-f]{{40}}$", re.M)
    return _once(pattern, hashlib.sha1(pattern.sub("", unit).encode()).hexdigest(), unit)


def _preset(name: str, unit: str) -> Files:
    """Debian starts services at boot unless somebody disables them, Fedora the other way round; without rules neither does anything."""
    path = f"/usr/lib/systemd/system-preset/80-{name}.preset"
    return {path: File(f"enable {unit}\n".encode(), only="rpm")}


def _document(name: str, path: str, text: str) -> Files:
    """A file for people to read, which rpm wants to know for one."""
    place = f"/usr/share/doc/{name}/{path}"
    return {place: File(text.encode(), kind="doc")}


def _copyright(components: Iterable[Mapping[str, t.Any]] = ()) -> str:
    """The licences as Debian has them (copyright-format 1.0)."""
    text = (SOURCES / "files/copyright").read_text()
    for component in components:
        licence = component["licenses"][0]
        words = licence.get("expression") or licence["license"]["name"]
        place = f"{PLUGIN}/{bundle.LICENCES}/{component['name']}"
        text += f"\nFiles: {PLUGIN[1:]}/lib/*\nCopyright: the authors of {component['name']} {component['version']}\n"
        text += f"License: {component['name']}\n {' '.join(str(words).split())}\n .\n Its text is in {place}.\n"
    return text


def _yaml(path: Path) -> dict[str, t.Any]:
    values: dict[str, t.Any] = yaml.safe_load(path.read_text())
    return values


# What nfpm gets.


def version() -> str:
    """The version of the collection."""
    return str(_yaml(CHECKOUT / "galaxy.yml")["version"])


def moment() -> int:
    """SOURCE_DATE_EPOCH, or the time of the commit, in seconds."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    said = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return int(said.stdout)


def script(path: Path, package: Package) -> str:
    """A script of a package."""
    known = _yaml(PLUGIN_ROLE / "vars/main.yml")
    values = {
        "PACKAGE": package.name,
        "LIBRARY": package.library,
        "INTERPRETER": package.python,
        "ENABLED": " ".join(package.enabled),
        "RELOADED": " ".join(package.reloaded),
        "OPTIONAL": " ".join(package.optional),
        "SPECIFICATIONS": known["__qat_device_plugin_cdi_name"].strip("^$").replace("(generic", "(vf|generic"),
        "LABELS": known["__qat_device_plugin_nfd_file"],
    }
    common = (SOURCES / "scripts/common.sh").read_text().partition("\n\n")[2]
    text = path.read_text().replace("@COMMON@\n", common)
    return re.sub("|".join(f"@{name}@" for name in values), lambda found: values[found[0].strip("@")], text)


def build(package: Package, form: str, output: Path) -> Path:
    """Put a package of one format into a directory, and return it. Raises ToolError where nfpm fails."""
    with tempfile.TemporaryDirectory(prefix="accel-qat-package-") as directory:
        work = Path(directory)
        description = work / "nfpm.yaml"
        description.write_text(json.dumps(_description(package, form, work)))
        target = output / file_name(package, form)
        draft = work / target.name
        host.run(
            [go_programs.program("nfpm"), "package", "--config", description, "--packager", form, "--target", draft],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(moment())},
        )
        output.mkdir(parents=True, exist_ok=True)
        target.write_bytes(draft.read_bytes())
    return target


def file_name(package: Package, form: str) -> str:
    """As each format has it."""
    if form == "deb":
        return f"{package.name}_{version()}-{package.release}_{package.architecture}.deb"
    machine = MACHINES.get(package.architecture, "noarch")
    return f"{package.name}-{version()}-{package.release}.{machine}.rpm"


def _description(package: Package, form: str, work: Path) -> dict[str, t.Any]:
    """The document that nfpm reads, with the files that it names below a directory."""
    text = (SOURCES / f"{package.name}.yml").read_text().replace("@VERSION@", f"{version()}-{package.release}")
    said: dict[str, t.Any] = yaml.safe_load(text.replace("@PYTHON@", package.release.partition("py")[2]))
    summary = said.pop("summary")
    if form == "rpm":
        # rpm has the first line apart, and no lines of a dot.
        said["description"] = re.sub(r"(?m)^\.$", "", said["description"].partition("\n")[2])
    scripts = dict(_scripts(package, form, work))
    # rpm alone has it, when the files of the former version have gone.
    of_rpm = {name: scripts.pop(name) for name in ["posttrans"] if name in scripts}
    changelog = work / "changelog.yml"
    changelog.write_text(json.dumps(_changelog(package)))
    return {
        **said,
        "version": version(),
        "release": package.release,
        "arch": package.architecture,
        "platform": "linux",
        "priority": "optional",
        "maintainer": MAINTAINER,
        "vendor": "accel.qat contributors",
        "homepage": PLACE,
        "license": "GPL-3.0-or-later",
        "mtime": _iso(moment()),
        "changelog": str(changelog),
        "disable_globbing": True,
        "contents": list(_contents(package, form, work)),
        "scripts": scripts,
        "rpm": {
            "summary": summary,
            "buildhost": "reproducible",
            "compression": "gzip:9",
            "group": "System Environment/Daemons",
            "scripts": of_rpm,
        },
        "deb": {"compression": "gzip:9"},
    }


def _iso(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _changelog(package: Package) -> list[dict[str, t.Any]]:
    return [
        {
            "semver": f"{version()}-{package.release}",
            "date": _iso(moment()),
            "packager": MAINTAINER,
            "deb": {"urgency": "medium", "distributions": ["stable"]},
            "changes": [{"note": f"Release {version()}: {PLACE}/blob/main/CHANGELOG.md"}],
        }
    ]


def _contents(package: Package, form: str, work: Path) -> Iterator[dict[str, t.Any]]:
    licence = CHECKOUT / "LICENSES/GPL-3.0-or-later.txt"
    documents = {
        f"/usr/share/doc/{package.name}/copyright": File(_copyright().encode(), only="deb"),
        f"/usr/share/licenses/{package.name}/{licence.name}": File(licence.read_bytes(), kind="license", only="rpm"),
    }
    files = {path: file for path, file in {**documents, **package.files}.items() if file.only in ("", form)}
    for path, file in sorted(files.items()):
        source = work / "tree" / path.lstrip("/")
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(file.content)
        # Of the formats rpm alone has documents, and nfpm leaves them out elsewhere.
        kind = "file" if file.kind == "doc" and form != "rpm" else file.kind
        yield {"src": str(source), "dst": path, "type": kind, "file_info": {"mode": file.mode}}
    for path in sorted({*package.directories, *_own_directories(files)}):
        yield {"dst": path, "type": "dir", "file_info": {"mode": 0o755}}


def _own_directories(files: Iterable[str]) -> set[str]:
    """Directories of files that no other package has: rpm leaves those behind that nobody owns."""
    ours = ("/usr/lib/accel-qat", "/etc/accel-qat", "/usr/share/doc/accel-qat", "/usr/share/licenses/accel-qat")
    return {str(parent) for path in files for parent in Path(path).parents if str(parent).startswith(ours)}


def _scripts(package: Package, form: str, work: Path) -> Iterator[tuple[str, str]]:
    names = {"preinst": "preinstall", "postinst": "postinstall", "prerm": "preremove", "postrm": "postremove"}
    names |= {"pre": "preinstall", "post": "postinstall", "preun": "preremove", "postun": "postremove"}
    names |= {"posttrans": "posttrans"}
    for path in sorted((SOURCES / "scripts" / form).iterdir()):
        target = work / path.name
        target.write_text(script(path, package))
        yield names[path.name], str(target)


def make(
    output: Path,
    formats: Sequence[str] = FORMATS,
    pythons: Sequence[str] = (),
    machines: Sequence[str] = tuple(MACHINES),
) -> list[Path]:
    """Build them all, or those of these formats, Pythons and architectures. Raises ToolError, PackagesError, bundle.BundleError."""
    made = [build(package, form, output) for form in formats for package in (of_qatctl(), of_node())]
    wanted = [(form, python) for form in formats for python in pythons or PYTHONS[form]]
    with tempfile.TemporaryDirectory(prefix="accel-qat-bundles-") as directory:
        for python in sorted({python for _form, python in wanted}, key=lambda text: int(text.partition(".")[2])):
            for architecture in machines:
                package = of_device_plugin(python, architecture, Path(directory))
                made += [build(package, form, output) for form, other in wanted if other == python]
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when they are made, 1 with one sentence when they are not."""
    parser = argparse.ArgumentParser(prog="packages", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=DIST, help="the directory of the packages")
    parser.add_argument("--format", choices=FORMATS, help="one of them; both without it")
    parser.add_argument(
        "--python", action="append", default=[], help="one for which there is to be a device plugin, such as 3.11"
    )
    parser.add_argument("--architecture", choices=MACHINES, help="one of them; all without it")
    options = parser.parse_args(arguments)
    try:
        made = make(
            options.output,
            [options.format] if options.format else FORMATS,
            options.python,
            [options.architecture] if options.architecture else tuple(MACHINES),
        )
    except (ToolError, PackagesError, bundle.BundleError) as error:
        print(f"packages: {error}", file=sys.stderr)
        return 1
    for path in made:
        print(path, hashlib.sha256(path.read_bytes()).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
