# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role qat_device_plugin: its variables are the program's settings, and its unit runs the program with them."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import platform
import re
import runpy
import subprocess
import sys
import typing as t
from pathlib import Path

import jinja2
import pytest
import yaml
from qat_device_plugin import cdi, nfd
from qat_device_plugin.handover import END_SECONDS, SECONDS
from qat_device_plugin.settings import Settings, _parser, parse_settings

from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.unit.plugins.local import OnThisMachine
from ansible_collections.accel.qat.tools.artifacts.unit_templates import unit_templates
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLE = CHECKOUT / "roles/qat_device_plugin"
UNIT = "accel-qat-device-plugin.service"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def load(name: str) -> t.Any:
    return yaml.safe_load((ROLE / name).read_text())


DEFAULTS = load("defaults/main.yml")
VARIABLES = load("vars/main.yml")
STAMP = VARIABLES["__qat_device_plugin_stamp"]
OPTIONS = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def test_defaults_are_documented() -> None:
    """But for the cache, whose default the environment decides."""
    documented = {name: option["default"] for name, option in OPTIONS.items()}
    assert documented.pop("qat_device_plugin_cache") == "~/.cache/accel-qat/bundles"
    assert documented == {name: value for name, value in DEFAULTS.items() if name != "qat_device_plugin_cache"}


@pytest.mark.parametrize("name", ["registration", "allocation_policy", "log_level"])
def test_choices_are_those_of_the_program(name: str) -> None:
    (flag,) = (action for action in _parser()._actions if action.dest == name)
    assert flag.choices is not None
    assert sorted(OPTIONS[f"qat_device_plugin_{name}"]["choices"]) == sorted(flag.choices)


def rendered(**variables: t.Any) -> str:
    """The text of the unit."""
    environment = unit_templates(ROLE)
    values = {
        **DEFAULTS,
        "__qat_device_plugin_current": "/opt/accel-qat/device-plugin/current",
        "__qat_device_plugin_cdi_specification": VARIABLES["__qat_device_plugin_cdi_specification"],
        "__qat_device_plugin_nfd_file": VARIABLES["__qat_device_plugin_nfd_file"],
        "__qat_device_plugin_chosen": "0.1.0-py3.11-e7e7937c13",
        "__qat_device_plugin_stamp": STAMP,
        "__qat_device_plugin_configuration_checksum": "5f3d",
        **variables,
    }
    return environment.get_template(f"{UNIT}.j2").render(**values)


def unit(**variables: t.Any) -> configparser.ConfigParser:
    """The unit as systemd reads it, but that of most settings that stand twice the last one counts."""
    lines = []
    for line in rendered(**variables).splitlines():
        name, _equals, value = line.partition("=")
        repeated = {
            "Environment": f"Environment.{value}",
            "After": f"After.{value}=",
            "ExecStartPre": f"Before {value}=",
        }
        lines.append(repeated.get(name, line))
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string("\n".join(lines))
    return parser


def after(parser: configparser.ConfigParser) -> set[str]:
    """What the unit is started after."""
    prefix = "After."
    return {word for name in parser["Unit"] if name.startswith(prefix) for word in name[len(prefix) :].split()}


def steps(service: t.Mapping[str, str]) -> list[str]:
    """What is done before the start."""
    return [name.removeprefix("Before ") for name in service if name.startswith("Before ")]


def settings(parser: configparser.ConfigParser) -> Settings:
    """What the program understands of the unit's environment."""
    prefix = "Environment."
    service = parser["Service"]
    return parse_settings([], {name[len(prefix) :]: service[name] for name in service if name.startswith(prefix)})


def test_the_unit_gives_the_program_what_the_variables_say() -> None:
    found = settings(
        unit(
            qat_device_plugin_config="/c.json",
            qat_device_plugin_kubelet_dir="/k/d",
            qat_device_plugin_registration="watcher",
            qat_device_plugin_metrics_address="",
            qat_device_plugin_pod_labels=False,
            qat_device_plugin_allocation_policy="packed",
            qat_device_plugin_cdi=True,
            qat_device_plugin_nfd=True,
            qat_device_plugin_period=1.5,
            qat_device_plugin_log_level="debug",
        )
    )
    assert (found.config, found.socket_dir) == (Path("/c.json"), Path("/k/plugins_registry"))
    assert found.kubelet_roots == ("/k",)
    assert (found.metrics_address, found.pod_labels) == (None, False)
    assert (found.allocation_policy, found.cdi, found.nfd) == ("packed", True, True)
    assert (found.period, found.log_level) == (1.5, "debug")


@pytest.mark.parametrize("registration", ["socket", "watcher"])
@pytest.mark.parametrize(
    ("directory", "root", "registry"),
    [
        ("/var/lib/kubelet/device-plugins", "/data/kubelet", "/data/kubelet/plugins_registry"),
        ("/var/lib/kubelet/device-plugins", "/home/kubelet/", "/home/kubelet/plugins_registry"),
        ("/k/d/", "", "/k/plugins_registry"),
    ],
)
def test_the_service_reaches_what_is_in_kubelets_root_directory(
    registration: str, directory: str, root: str, registry: str
) -> None:
    made = unit(
        qat_device_plugin_kubelet_dir=directory,
        qat_device_plugin_kubelet_root=root,
        qat_device_plugin_registration=registration,
    )
    found, service = settings(made), made["Service"]
    assert found.kubelet_roots == (root or "/k",)
    assert found.socket_dir == (Path(directory) if registration == "socket" else Path(registry))
    assert f"-{registry}" in service["ReadWritePaths"].split()
    assert made["Unit"]["RequiresMountsFor"].split() == [directory, *([root] if root else [])]
    # What is below /home cannot be seen otherwise.
    assert service["ProtectHome"] == ("read-only" if root.startswith("/home") else "yes")
    is_made = f"+mkdir -p -m 0750 {registry}" in steps(service)
    assert is_made is (registration == "watcher")


def test_the_defaults_are_those_of_the_program() -> None:
    """But that metrics are served, to this machine alone."""
    wanted = vars(parse_settings([], {}))
    assert vars(settings(unit())) == {**wanted, "metrics_address": ("127.0.0.1", 9482)}


def test_the_unit_comes_after_the_vfs_and_may_do_little() -> None:
    found = unit()
    assert "qat-node.service" in after(found)
    assert found["Service"]["Type"] == "notify"
    assert found["Service"]["CapabilityBoundingSet"] == ""
    paths = "-/var/lib/kubelet/device-plugins -/var/lib/kubelet/plugins_registry -/var/run/cdi"
    assert found["Service"]["ReadWritePaths"] == paths


def test_kubelet_starts_after_the_plugin_but_never_waits_for_long() -> None:
    text = rendered()
    assert f"\nBefore={' '.join(DEFAULTS['qat_device_plugin_units_after'])}\n" in text
    assert "kubelet.service" in DEFAULTS["qat_device_plugin_units_after"]
    assert unit()["Service"]["TimeoutStartSec"] == "60"
    node = yaml.safe_load((ROLE.parent / "qat_node/defaults/main.yml").read_text())
    assert DEFAULTS["qat_device_plugin_units_after"] == node["qat_node_units_after"]


def test_a_reload_has_another_process_take_over() -> None:
    service = unit(qat_device_plugin_python="/opt/py 3/python")["Service"]
    assert service["ExecReload"] == f"{service['ExecStart']} --take-over=${{MAINPID}}"
    # Longer than a hand-over may take, so that its words are heard.
    assert int(service["TimeoutStartSec"]) > SECONDS + END_SECONDS + 5
    assert service["RuntimeDirectoryMode"] == "0700"
    assert service["RuntimeDirectoryPreserve"] == "yes"  # a pod may have the lock in it when the service ends
    assert (
        VARIABLES["__qat_device_plugin_run"]
        == str(parse_settings([], {}).run_dir)
        == f"/run/{service['RuntimeDirectory']}"
    )


ODD = "/a b/100%/quo\"te/back\\slash/$HOME/{x};#'"


def test_systemd_reads_the_values_as_they_were_given(tmp_path: Path) -> None:
    """systemd-analyze reports what it ignores of a unit."""
    program = tmp_path / "a b 100% $x" / "python"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    text = rendered(
        qat_device_plugin_config=ODD, qat_device_plugin_kubelet_dir=ODD, qat_device_plugin_python=str(program)
    )
    file = tmp_path / UNIT
    file.write_text(text)
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False, timeout=300
    )
    assert [line for line in found.stderr.splitlines() if str(file) in line or UNIT in line] == []
    escaped = ODD.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    assert f'\nEnvironment="QAT_DEVICE_PLUGIN_CONFIG={escaped}"\n' in text
    assert f'\nRequiresMountsFor="{escaped}"\n' in text
    assert f'\nReadWritePaths="-{escaped}" ' in text
    assert 'mkdir -p -m 0750 "' + escaped.replace("$", "$$") + '"\n' in text


def test_no_target_waits_until_kubelet_has_taken_the_resources() -> None:
    """A target waits for what it wants unless that has no default dependencies (systemd.target(5)); the others are written out."""
    found = unit()["Unit"]
    assert found["DefaultDependencies"] == "no"
    assert found["Requires"] == "sysinit.target"
    assert found["Conflicts"] == "shutdown.target"
    assert "\nBefore=shutdown.target\n" in rendered()
    assert after(unit()) == {"sysinit.target", "basic.target", "qat-node.service"}


def test_the_service_starts_again_however_often_kubelet_is_made_again() -> None:
    found = unit(qat_device_plugin_kubelet_dir="/k/d")
    assert found["Unit"]["RequiresMountsFor"] == "/k/d"
    assert (found["Unit"]["StartLimitIntervalSec"], found["Service"]["Restart"]) == ("0", "always")
    assert found["Service"]["RestartPreventExitStatus"] == "2"


def test_a_unit_that_differs_in_anything_has_another_stamp() -> None:
    def stamp(**variables: t.Any) -> str:
        return unit(**variables)["Service"][f"Environment.{STAMP}"]

    found = [
        stamp(),
        stamp(qat_device_plugin_python="/usr/bin/python3.12"),
        stamp(__qat_device_plugin_chosen="0.0.9"),
        stamp(__qat_device_plugin_configuration_checksum="a01e"),
    ]
    assert found[0] == stamp()
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"[0-9a-f]{40}", one) for one in found)


@pytest.mark.parametrize(
    ("checks", "of_node", "stat", "checksum"),
    [
        (
            True,
            {"configuration_file": "/etc/accel-qat/node.json", "configuration_checksum": "new"},
            {"checksum": "old"},
            "new",
        ),
        (True, {"configuration_file": "/etc/accel-qat/node.json", "configuration_checksum": "new"}, {}, "new"),
        # Of another file, or of none, the role qat_node says nothing.
        (True, {"configuration_file": "/etc/other.json", "configuration_checksum": "new"}, {"checksum": "old"}, "old"),
        (True, None, {"checksum": "old"}, "old"),
        (True, None, {}, "which is missing"),
        # What is on the node goes before what was to be written.
        (
            False,
            {"configuration_file": "/etc/accel-qat/node.json", "configuration_checksum": "new"},
            {"checksum": "old"},
            "old",
        ),
    ],
)
def test_check_mode_knows_the_configuration_that_is_to_come(
    checks: bool, of_node: dict[str, str] | None, stat: dict[str, str], checksum: str
) -> None:
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
        VARIABLES["__qat_device_plugin_configuration_checksum"]
    )
    values = {
        "ansible_check_mode": checks,
        "qat_device_plugin_config": DEFAULTS["qat_device_plugin_config"],
        "__qat_device_plugin_configuration": {"stat": stat},
        **({"qat_node_configured": of_node} if of_node else {}),
    }
    assert template.render(values) == checksum


def test_the_role_node_says_what_the_configuration_will_be() -> None:
    tasks = yaml.safe_load((ROLE.parent / "qat_node/tasks/main.yml").read_text())
    (task,) = (task for task in tasks if task.get("register") == "qat_node_configured")
    assert task["accel.qat.qat_devices"]["configuration_file"] == "{{ __qat_node_configuration_file }}"


@pytest.mark.parametrize("names", [True, False])
def test_there_is_a_directory_for_cdi_that_the_service_may_write(names: bool) -> None:
    """/run is empty at boot, and a path that is not there cannot be made writable. Kata needs specifications in any case."""
    found = unit(qat_device_plugin_cdi=names)["Service"]
    assert steps(found)[:2] == ["+mkdir -p -m 0750 /var/lib/kubelet/device-plugins", "+mkdir -p -m 0755 /var/run/cdi"]
    assert len(steps(found)) == (2 if names else 3)
    assert (
        found["ReadWritePaths"] == "-/var/lib/kubelet/device-plugins -/var/lib/kubelet/plugins_registry -/var/run/cdi"
    )


@pytest.mark.parametrize("labels", [True, False])
def test_the_service_may_write_where_nfd_reads_if_it_should(labels: bool) -> None:
    path = parse_settings([], {}).nfd_dir / nfd.FILE
    assert VARIABLES["__qat_device_plugin_nfd_file"] == str(path)
    assert unit(qat_device_plugin_nfd=labels)["Service"]["ReadWritePaths"].endswith(f" -{path.parent}") is labels


@pytest.mark.parametrize("labels", [True, False])
def test_there_is_a_directory_for_nfd_if_there_should_be_labels(tmp_path: Path, labels: bool) -> None:
    """A hand-over makes none, and what is not there when a process starts it cannot write to."""
    (task,) = (one for one in load("tasks/systemd.yml") if "Node Feature Discovery" in one["name"])
    file = tmp_path / "kubernetes/features.d/labels"
    variables = {"__qat_device_plugin_nfd_file": str(file), "qat_device_plugin_nfd": labels}
    done = Plugin(tmp_path).play([{"name": "Directory", "block": [task], "vars": variables}])
    assert (done.code, file.parent.is_dir()) == (0, labels), done.output


def test_the_service_may_open_more_than_systemd_lets_a_service_open() -> None:
    """It cannot raise the limit itself: the filter of system calls would end it."""
    found = unit()["Service"]
    assert int(found["LimitNOFILE"]) > 1024
    assert "@resources" in found["SystemCallFilter"]


def test_teardown_knows_the_specifications_of_resources_and_no_others() -> None:
    """The program writes none of another name."""
    ours = re.compile(VARIABLES["__qat_device_plugin_cdi_name"])
    assert all(ours.search(cdi.file_of(kind)) for kind in cdi.KINDS)
    others = ["intel.com-qat.json", "qat.intel.com-mine.json", "qat.intel.com-cy.json.old", "x-qat.intel.com-cy.json"]
    assert not any(ours.search(name) for name in others)


def test_without_cdi_there_is_no_specification() -> None:
    path = parse_settings([], {}).cdi_dir / cdi.FILE
    assert VARIABLES["__qat_device_plugin_cdi_specification"] == str(path)
    found = unit()["Service"]
    assert steps(found)[2:] == [f"+rm -f {path}"]


@pytest.mark.parametrize(
    ("address", "allowed"), [("127.0.0.1:9482", "localhost"), ("[::1]:1", "localhost"), (":9482", "any"), ("", None)]
)
def test_only_who_may_reads_the_metrics(address: str, allowed: str | None) -> None:
    found = unit(qat_device_plugin_metrics_address=address)["Service"]
    assert (found["IPAddressDeny"], found.get("IPAddressAllow")) == ("any", allowed)


class Plugin(OnThisMachine):
    """Runs the role with a directory of releases of its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, directory)

    def role(self, *options: str, entry_point: str = "main", **variables: t.Any) -> Run:
        include = {"name": "accel.qat.qat_device_plugin", "tasks_from": entry_point}
        values = {
            "qat_device_plugin_directory": str(self._directory),
            "qat_device_plugin_python": sys.executable,
            **variables,
        }
        task = {"name": "Role", "ansible.builtin.include_role": include, "vars": values}
        return self.play([task], *options)


# Says of the service what the test has put beside it, and notes what it was commands.
SYSTEMCTL = """#!/bin/sh
test "$1" = show && exec cat "$0.shows"
echo "$*" >> "$0.commands"
test "$1" != restart || cp "$0.then" "$0.shows"
"""
GOOD = "ready; qat.intel.com/cy: 16 of 16 VFs healthy"
BAD = "not ready; qat.intel.com/cy: 16 of 16 VFs healthy, not registered (kubelet.sock is not there)"


def shows(pid: int, status: str = GOOD) -> str:
    return f"ActiveState=active\nMainPID={pid}\nStatusText={status}\nLoadState=not-found\nNeedDaemonReload=no\n"


class Service:
    """The role's look at the service, on a node with this systemctl, and a process of the unit that the role writes."""

    def __init__(self, directory: Path, writes: bool = False) -> None:
        self.program = systemctl(directory)
        self.specification, self.labels = directory / "vf.json", directory / "labels"
        self._controller = Plugin(directory)
        self._values: dict[str, t.Any] = {
            "__qat_device_plugin_chosen": f"0.1.0-py{PYTHON}-e7e7937c13",
            "__qat_device_plugin_configuration": {"stat": {"checksum": "5f3d"}},
            "__qat_device_plugin_cdi_specification": str(self.specification),
            "__qat_device_plugin_nfd_file": str(self.labels),
            "qat_device_plugin_cdi": writes,
            "qat_device_plugin_nfd": writes,
        }
        current = str(directory / "current")
        text = rendered(qat_device_plugin_python=sys.executable, __qat_device_plugin_current=current, **self._values)
        (self._stamp,) = re.findall(f"^Environment={STAMP}=(.*)$", text, re.MULTILINE)

    @contextlib.contextmanager
    def process(self) -> t.Iterator[int]:
        """One of the unit; gives its id."""
        with subprocess.Popen(["sleep", "60"], env={**os.environ, STAMP: self._stamp}) as found:
            yield found.pid
            found.kill()

    def run(self, now: str, *options: str, then: str = "", waits: bool = True) -> tuple[Run, list[str]]:
        """What became of it, and what systemctl was commands."""
        commands = self.program.with_suffix(".commands")
        commands.write_text("")
        self.program.with_suffix(".shows").write_text(now)
        self.program.with_suffix(".then").write_text(then)
        values = {**self._values, "__qat_device_plugin_waits": waits, "qat_device_plugin_wait_timeout": 1}
        done = self._controller.role(*options, entry_point="start", **values)
        return done, commands.read_text().splitlines()


def systemctl(directory: Path) -> Path:
    """One of the test's own, that answers that nothing is left to read of any unit."""
    program = directory / "systemctl"
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    program.with_suffix(".shows").write_text(shows(0))
    return program


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


@pytest.fixture
def process(service: Service) -> t.Iterator[int]:
    with service.process() as pid:
        yield pid


@pytest.mark.core
@pytest.mark.parametrize("waits", [True, False], ids=["waits", "does-not-wait"])
def test_the_role_replaces_a_process_of_another_unit_and_no_other(service: Service, process: int, waits: bool) -> None:
    """Such as a run that was cut off has left."""
    other = os.getpid()
    for pid, changed, made in ((process, False, []), (other, True, [f"restart --no-block {UNIT}"])):
        checked, commands = service.run(shows(pid), "--check", waits=waits)
        assert (checked.code, any(task.changed for task in checked.tasks), commands) == (0, changed, []), checked.output
        done, commands = service.run(shows(pid), then=shows(process), waits=waits)
        assert (done.code, any(task.changed for task in done.tasks)) == (0, changed), done.output
        assert commands == [*made, *([f"start {UNIT}"] if waits else [])]


def test_a_service_that_does_not_get_ready_fails_the_role(service: Service, process: int) -> None:
    failed, _commands = service.run(shows(process, BAD))
    assert failed.code != 0
    assert failed.tasks[-1].message == (
        f"{UNIT}: did not get ready within 1 seconds: it is active, {BAD}; see journalctl -u {UNIT}, "
        "or set qat_device_plugin_wait to false where kubelet comes later"
    )
    assert not failed.tasks[-1].changed
    assert service.run(shows(process, BAD), waits=False)[0].code == 0


@pytest.mark.parametrize(("names", "status", "left"), [(False, GOOD, False), (False, BAD, True), (True, GOOD, True)])
def test_files_of_a_former_process_go_when_nothing_names_them_any_more(
    tmp_path: Path, names: bool, status: str, left: bool
) -> None:
    """A hand-over leaves them, and a process that goes on needs them."""
    service = Service(tmp_path, writes=names)
    files = (service.specification, service.labels)
    for file in files:
        file.touch()
    with service.process() as pid:
        done, _commands = service.run(shows(pid, status))
    assert (done.code == 0, *(file.exists() for file in files)) == (status == GOOD, left, left), done.output


@pytest.mark.core
def test_a_bundle_takes_the_place_of_pip(tmp_path: Path) -> None:
    """What the playbook has packed is found by the role, and needs no index then."""
    bundle = tmp_path / "bundle"
    packed = Plugin(tmp_path).run(
        "accel.qat.bundle",
        qat_bundle_directory=str(bundle),
        qat_bundle_pythons=[PYTHON],
        qat_bundle_machines=[platform.machine()],
    )
    assert packed.code == 0, packed.output
    (archive,) = packed.task("Name the archives").result["msg"]
    assert {path.name for path in bundle.iterdir()} == {Path(archive).name, f"{Path(archive).name}.sha256"}
    checked = Plugin(tmp_path).role("--check", qat_device_plugin_bundle=str(bundle))
    (chosen,) = (task for task in checked.tasks if task.name.endswith("Choose the release of the device plugin"))
    assert chosen.result["ansible_facts"]["__qat_device_plugin_chosen"] in Path(archive).name
    Path(archive).write_bytes(b"another")
    failed = Plugin(tmp_path).role("--check", qat_device_plugin_bundle=str(bundle))
    assert failed.tasks[-1].message.startswith(f"{archive}: it is not what was packed, by the hash in ")


def test_what_cannot_be_packed_is_one_sentence(tmp_path: Path) -> None:
    for given, said in (
        ({"qat_device_plugin_bundle": str(tmp_path / "none")}, f"{tmp_path}/none: it has no qat-device-plugin-"),
        (
            {"qat_device_plugin_python": "/none/python3"},
            "qat_device_plugin_python: /none/python3 of the node does not run: ",
        ),
    ):
        proved = Plugin(tmp_path).role(entry_point="prove", **given)
        assert proved.code == 0, proved.output
        (lacks,) = proved.tasks[-1].result["ansible_facts"]["__qat_device_plugin_lacks"]
        failed = Plugin(tmp_path).role("--check", **given)
        assert (failed.code != 0, failed.tasks[-1].message) == (True, lacks)
        assert lacks.startswith(said)
        assert not any(task.changed for task in failed.tasks)


def test_a_bundle_without_a_directory_is_refused(tmp_path: Path) -> None:
    run = Plugin(tmp_path).run("accel.qat.bundle")
    assert run.tasks[-1].message == (
        "qat_bundle_directory: it is not set; name the directory of the controller that gets the archives"
    )


def test_a_release_for_another_python_is_refused(tmp_path: Path) -> None:
    release = "0.1.0-py3.8-e7e7937c13"
    (tmp_path / release).mkdir()
    (tmp_path / release / ".complete").touch()
    run = Plugin(tmp_path).role("--check", qat_device_plugin_release=release)
    assert run.code != 0
    assert run.tasks[-1].message == (
        f"qat_device_plugin_release: the node has no release {release} for its Python {PYTHON} in {tmp_path}; "
        "name one that is there, or leave the variable empty"
    )
    assert not any(task.changed for task in run.tasks)


@pytest.mark.parametrize("release", [f"0.1.0-py{PYTHON}-e7e7937c13", "0.0.9-previous"])
def test_a_release_for_the_python_of_the_node_is_taken(tmp_path: Path, release: str) -> None:
    """Also one whose name does not show it."""
    (tmp_path / release).mkdir()
    (tmp_path / release / ".complete").touch()
    run = Plugin(tmp_path).role("--check", qat_device_plugin_release=release)
    assert [task.outcome for task in run.tasks if task.name.endswith("not for its Python")] == ["ok"]


@pytest.mark.core
def test_a_release_that_is_not_there_is_refused(tmp_path: Path) -> None:
    run = Plugin(tmp_path).role("--check", qat_device_plugin_release="0.0.1-never")
    assert run.tasks[-1].message == (
        f"qat_device_plugin_release: the node has no release 0.0.1-never in {tmp_path}; "
        "name one that is there, or leave the variable empty"
    )


@pytest.mark.parametrize(
    ("variable", "given", "said"),
    [
        (
            "qat_device_plugin_config",
            "/etc/a\nb",
            "a variable of the role qat_device_plugin: {bad} is no text of one line",
        ),
        ("qat_device_plugin_metrics_address", "127.0.0.1:1\n", "a variable of the role qat_device_plugin: {bad} is no"),
        ("qat_device_plugin_units_after", ["kubelet"], "qat_device_plugin_units_after: {bad} is no name of a unit; "),
        (
            "qat_device_plugin_units_after",
            ["k.service", "100%.service"],
            "qat_device_plugin_units_after: {bad} is no name",
        ),
        (
            "qat_device_plugin_units_after",
            ["a b.service"],
            "qat_device_plugin_units_after: {bad} is no name of a unit; ",
        ),
        ("qat_device_plugin_units_after", ["k.service\n[Service]"], "qat_device_plugin_units_after: {bad} is no name"),
    ],
)
def test_what_the_unit_cannot_hold_is_refused_first(tmp_path: Path, variable: str, given: t.Any, said: str) -> None:
    run = Plugin(tmp_path).role("--check", **{variable: given})
    assert run.code != 0
    bad = given[-1] if isinstance(given, list) else given
    assert run.tasks[-1].message.startswith(said.format(bad=json.dumps(bad)))
    assert not any(task.changed for task in run.tasks)


def test_names_of_units_are_those_of_the_other_role() -> None:
    node = yaml.safe_load((ROLE.parent / "qat_node/vars/main.yml").read_text())
    units = [
        next(one for one in texts if one["name"].endswith("units_after"))
        for texts in (node["__qat_node_texts"], VARIABLES["__qat_device_plugin_texts"])
    ]
    assert [units[0][key] for key in ("form", "what", "remedy")] == [
        units[1][key] for key in ("form", "what", "remedy")
    ]


@pytest.mark.core
def test_only_releases_are_removed(tmp_path: Path) -> None:
    """The newest one and the one that runs stay."""
    name_of = runpy.run_path(str(CHECKOUT / "device_plugin/bundle.py"))["release_name"]
    running, old, new = (name_of(python, "x86_64") for python in ("3.9", "3.11", "3.13"))
    for age, name in enumerate([new, old, running, "of-others", "1.2.3-beta"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    done = Plugin(tmp_path).role(
        entry_point="tidy", qat_device_plugin_kept_releases=1, __qat_device_plugin_chosen=running
    )
    assert done.code == 0, done.output
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} - {"of-others", "1.2.3-beta"} == {running, new}
    assert (tmp_path / "of-others").is_dir()
    assert (tmp_path / "1.2.3-beta").is_dir()


def removal(directory: Path, *options: str, is_pod: bool = False, pods: t.Sequence[str] = ()) -> Run:
    """The task of teardown that removes files, with all it removes below a directory of the test."""
    tasks = [task for task in load("tasks/teardown.yml") if {"ansible.builtin.find", "accel.qat.files"} & set(task)]
    systemctl(directory)
    names = ("unit_link", "cdi_specification", "nfd_file", "run")
    places = {f"__qat_device_plugin_{name}": str(directory / f"system/{name}") for name in names}
    units = {mode: str(directory / f"system/{mode}") for mode in VARIABLES["__qat_device_plugin_units"]}
    values = {
        "qat_device_plugin_directory": str(directory / "opt"),
        "qat_device_plugin_kubelet_dir": str(directory / "kubelet"),
        "__qat_device_plugin_is_pod": is_pod,
        "__qat_device_plugin_pod_is_ours": True,
        "__qat_device_plugin_taken": {"pods": list(pods)},
    }
    of_the_role = ("release_name", "cdi_name", "current", "unit", "pod_stays")
    kept = {name: VARIABLES[f"__qat_device_plugin_{name}"] for name in of_the_role}
    variables = {**values, **places, **{f"__qat_device_plugin_{name}": value for name, value in kept.items()}}
    block = {"name": "Teardown", "block": tasks[1:], "vars": {**variables, "__qat_device_plugin_units": units}}
    return Plugin(directory).play([block], *options)


@pytest.mark.core
@pytest.mark.parametrize("others", [[], ["opt/theirs/file", "kubelet/other.sock"]], ids=["alone", "beside-others"])
def test_teardown_removes_what_is_ours_and_nothing_else(tmp_path: Path, others: list[str]) -> None:
    ours = ["opt/0.1.0-py3.11-e7e7937c13/.complete", "opt/0.0.9-0123456789/lib/x", "opt/current", "system/unit"]
    ours += [
        f"system/{name}"
        for name in (
            "transient",
            "unit_link",
            "cdi_specification",
            "nfd_file",
            "qat.intel.com-sym-dc.json",
            "run/1.lock",
        )
    ]
    for name in [*ours, *others]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "kubelet").mkdir(exist_ok=True)

    def left() -> set[str]:
        places = [tmp_path / "opt", tmp_path / "kubelet", tmp_path / "system"]
        below = {path for place in places for path in (place, *place.rglob("*"))}
        return {str(path.relative_to(tmp_path)) for path in below if path.exists() and not path.is_dir()} | {
            str(path.relative_to(tmp_path)) for path in places if path.exists()
        }

    before = left()
    checked = removal(tmp_path, "--check")
    assert (checked.code, left()) == (0, before), checked.output
    assert any(task.changed for task in checked.tasks)
    done = removal(tmp_path)
    assert done.code == 0, done.output
    assert left() == {*others, *(name.partition("/")[0] for name in others)}
    assert not any(task.changed for task in removal(tmp_path).tasks)


def test_teardown_leaves_the_lock_of_a_pod_that_others_have_made(tmp_path: Path) -> None:
    """Beside a new one there would be two."""
    lock = tmp_path / "system/run/1.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    for options, pods, goes in (((), (), False), (("--check",), (), False), (("--check",), ("ours",), True)):
        done = removal(tmp_path, *options, "--diff", is_pod=True, pods=pods)
        assert done.code == 0, done.output
        assert lock.exists()
        (last,) = (task for task in done.tasks if task.name.startswith("Remove the unit, the releases"))
        assert (str(lock.parent) in str(last.result)) is goes
    tasks = [task["name"] for task in load("tasks/teardown.yml")]
    assert tasks.index("Have no pod of the device plugin on the node any more") < tasks.index(
        "Look for a pod that is the node's device plugin"
    )


@pytest.mark.parametrize(
    ("mode", "states"),
    [
        (
            "unit",
            {
                "current": "link",
                "/etc": "present",
                "/etc wants": "link",
                "/run": "absent",
                "of a package": "absent",
                "of a move": "absent",
            },
        ),
        (
            "transient",
            {
                "current": "link",
                "/run": "present",
                "/etc wants": "absent",
                "/etc": "absent",
                "of a package": "absent",
                "of a move": "absent",
            },
        ),
    ],
)
def test_each_mode_has_its_place_and_clears_the_other(mode: str, states: dict[str, str]) -> None:
    tasks = (one["accel.qat.files"] for one in load("tasks/systemd.yml") if "accel.qat.files" in one)
    (task,) = (one for one in tasks if len(one["files"]) > 1)
    environment = jinja2.nativetypes.NativeEnvironment(undefined=jinja2.StrictUndefined)
    omitted = object()
    environment.globals["lookup"] = lambda _plugin, name: f"from {name}"
    values: dict[str, t.Any] = {
        **DEFAULTS,
        "qat_device_plugin_mode": mode,
        "__qat_device_plugin_chosen": "0.1.0",
        "omit": omitted,
    }

    def render(value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return {name: render(one) for name, one in value.items()}
        if isinstance(value, list):
            return [render(one) for one in value]
        return environment.from_string(value).render(values)

    for name in (
        "__qat_device_plugin_unit",
        "__qat_device_plugin_unit_link",
        "__qat_device_plugin_units",
        "__qat_device_plugin_current",
        "__qat_device_plugin_drop_in",
        "__qat_device_plugin_run",
    ):
        values[name] = render(VARIABLES[name])
    places = {
        "current": values["__qat_device_plugin_current"],
        "of a package": values["__qat_device_plugin_drop_in"],
        "of a move": f"{values['__qat_device_plugin_run']}/next",
        "/etc": f"/etc/systemd/system/{UNIT}",
        "/etc wants": f"/etc/systemd/system/multi-user.target.wants/{UNIT}",
        "/run": f"/run/systemd/system/{UNIT}",
    }
    entries = {
        entry["path"]: {key: one for key, one in entry.items() if one is not omitted} for entry in render(task["files"])
    }
    found = {place: entries.pop(path) for place, path in places.items()}
    assert entries == {}
    assert {place: entry.get("state", "present") for place, entry in found.items()} == states
    assert found["current"]["target"] == "0.1.0"
    assert found["/etc" if mode == "unit" else "/run"]["content"] == f"from {UNIT}.j2"
    assert found["/etc wants"].get("target") == (places["/etc"] if mode == "unit" else None)
