# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which file an argument is sure to reach kubelet, and how it gets there: nothing else of the file changes."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._kubelet.environment import (
    assignment,
    read_file,
    with_word,
    without_word,
    words_of,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.extra_arguments import NAME, config_dir_in
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed, Request, observe
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, Service, examples
from ansible_collections.accel.qat.tests.unit.kubelet.conftest import machine_of

WORD = "--config-dir=/etc/x"
DEB, RPM = "/etc/default/kubelet", "/etc/sysconfig/kubelet"
KUBEADM = "KUBELET_KUBEADM_ARGS"
FLAGS = "/var/lib/kubelet/kubeadm-flags.env"


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", "A=W\n"),
        ("B=1", "B=1\nA=W\n"),
        ("B=1\r\n", "B=1\r\nA=W\r\n"),
        ("#A=--b\n", "#A=--b\nA=W\n"),
        ("A=\n", "A=W\n"),
        ("A=   \n", "A=W   \n"),
        ('A=""\n', 'A="W"\n'),
        ("A=''", "A='W'"),
        ('A="--b"  \nB=1\n', 'A="--b W"  \nB=1\n'),
        ('A="--b "\n', 'A="--b W"\n'),
        ('A="--b" "--c"\n', 'A="--b" "--c W"\n'),
        ("A=--b --c   \n", "A=--b --c W   \n"),
        ("A=--b \\\n  --c\nB=1\n", "A=--b \\\n  --c W\nB=1\n"),
        ('A="--b \\\n  --c"\nB=1\n', 'A="--b \\\n  --c W"\nB=1\n'),
        ('A="--b\n--c"\n', 'A="--b\n--c W"\n'),
        ("A=--b='c d'\n", "A=--b='c d' W\n"),
        ("A=\"--b='c d'\"\n", "A=\"--b='c d' W\"\n"),
        ("A=--b\r\nB=1\r\n", "A=--b W\r\nB=1\r\n"),
        ("A=1\nA=2\nB=3\n", "A=1\nA=2 W\nB=3\n"),
        (" A = --b\n", " A = --b W\n"),
        ("export A=1\n", "export A=1\nA=W\n"),
        ("# x \\\nB=1\nA=--b\n", "# x \\\nB=1\nA=--b W\n"),
        ("A=--b#c\n", "A=--b#c W\n"),
        ("A=--b # no comment\n", "A=--b # no comment W\n"),
    ],
)
def test_a_word_more(text: str, changed: str) -> None:
    changed = changed.replace("W", WORD)
    assert with_word(text, "A", WORD) == changed
    kept = without_word(changed, "A", WORD, keep_line="A" in read_file(text))
    assert kept is not None
    # The line before may have got an end, and a blank at the end of a value may have served as the one between.
    assert kept in (text, f"{text}\n", text.replace('--b "', '--b"'))
    assert WORD in assignment(changed, "A")


@pytest.mark.parametrize(
    "text",
    [
        'A="--b\n',
        "A='--b\nB=1\n",
        "A=--b='c\n",
        'A="--b=\'c"\n',
        "B='1\n",
        "# \\\nA=--b\n",
        "# x\\\n",
        "A='--b\\\\c'\n".replace("--b", "--b='x'"),
        "A=\udcff\n",
        "B=\udcff\n",
        "A=\0\n",
        'A="--b \\',
    ],
)
def test_what_cannot_be_made_out_stays_as_it_is(text: str) -> None:
    assert with_word(text, "A", WORD) is None


def test_only_that_word_goes() -> None:
    text = f'A="{WORD}x {WORD} --b {WORD}" \nB={WORD}\n'
    assert without_word(text, "A", WORD) == f'A="{WORD}x {WORD} --b" \nB={WORD}\n'
    assert without_word(f"A={WORD}x\n", "A", WORD) is None
    assert without_word(f"B={WORD}\n", "A", WORD) is None
    assert without_word(f"A=1\nA={WORD}\n", "A", WORD, keep_line=False) == "A=1\nA=\n"
    assert config_dir_in(f"{NAME}='--v=2' --config-dir /etc/y/\n") == ""
    assert config_dir_in(f"{NAME}=--v=2 --config-dir /etc/y/\n") == "/etc/y"


PIECES = ["A", "B", "=", "--b", " ", "\n", "\r\n", "\\", "\\\n", '"', "'", "#", ";", "x", "\t", "$", "`", "é", WORD]


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_nothing_else_changes(text: str) -> None:
    """By systemd's reading of the file before and after."""
    before = read_file(text)
    changed = with_word(text, "A", WORD)
    if changed is None:
        return
    after = read_file(changed)
    assert words_of(changed, "A") == [*(words_of(text, "A") or ()), WORD]
    assert {**after, "A": ""} == {**before, "A": ""}
    assert after.doubtful == before.doubtful
    # Something was put in at one place, and all else is there still.
    at = next((number for number, (old, new) in enumerate(zip(text, changed)) if old != new), len(text))
    assert changed.endswith(text[at:])
    added = changed[at : len(changed) - len(text) + at]
    assert WORD in f"{changed[:at]}{added}"
    assert len(added) <= len(WORD) + 6
    back = without_word(changed, "A", WORD, keep_line="A" in before)
    assert back is not None
    assert read_file(back) == {name: value if name != "A" else read_file(back)["A"] for name, value in before.items()}
    assert words_of(back, "A") == (words_of(text, "A") or [])


def look(node: KubeletNode, **request: t.Any) -> Observed:
    return observe(machine_of(node), str(node.root / "proc"), Request(version="1.31.4", offered=False, **request))


ARGV = "/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS"
OWN = f"KUBELET_CONFIG_ARGS=--config={examples.CONFIG}"
DOUBTFUL = "in the environment of kubelet.service cannot be made out for certain"
# All that kubelet's command line has, but for KUBELET_EXTRA_ARGS.
SHOWN = f"{OWN} KUBELET_KUBECONFIG_ARGS= {KUBEADM}="


def unit(
    files: t.Sequence[str] = (FLAGS, DEB), argv: str = ARGV, environment: str = OWN, **texts: str | None
) -> dict[str, t.Any]:
    """A node whose unit reads these files; the keys are deb, rpm, flags and own."""
    names = {"deb": DEB, "rpm": RPM, "flags": FLAGS, "own": "/etc/kubernetes/kubelet.env"}
    service = Service(["/usr/bin/kubelet", f"--config={examples.CONFIG}"], argv, environment, files)
    given = {names[key]: text for key, text in texts.items() if text is not None}
    return {
        "files": {examples.CONFIG: examples.CONFIGURATION, **given},
        "services": {"kubelet.service": service},
    }


Make = t.Callable[..., KubeletNode]


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (unit(deb="KUBELET_EXTRA_ARGS=\n"), DEB),
        (unit(), DEB),
        (unit([FLAGS, RPM], rpm="KUBELET_EXTRA_ARGS=\n"), RPM),
        (unit([RPM, DEB], rpm="KUBELET_EXTRA_ARGS=\n"), RPM),
        (unit([RPM, DEB], rpm="KUBELET_EXTRA_ARGS=\n", deb="KUBELET_EXTRA_ARGS=--v=2\n"), DEB),
        (unit([DEB, "/etc/kubernetes/kubelet.env"], own="KUBELET_EXTRA_ARGS=--v=2\n"), "/etc/kubernetes/kubelet.env"),
        (unit([DEB, "/etc/kubernetes/*.env"], own="KUBELET_EXTRA_ARGS=--v=2\n"), "/etc/kubernetes/kubelet.env"),
        # A file comes over the unit's own variable.
        (unit(environment=f"{OWN} KUBELET_EXTRA_ARGS=--v=9", deb="KUBELET_EXTRA_ARGS=--v=2\n"), DEB),
        # And over what systemd does not show.
        (unit(environment=f"{SHOWN} [unprintable]", deb="KUBELET_EXTRA_ARGS=--v=2\n"), DEB),
        (unit(argv="/opt/bin/kubelet --config=/var/lib/kubelet/config.yaml $KUBELET_EXTRA_ARGS"), DEB),
    ],
    ids=[
        "deb",
        "no file yet",
        "rpm",
        "the one that sets it",
        "the last one",
        "another one",
        "by a pattern",
        "over the unit",
        "over what is not shown",
        "hand-made",
    ],
)
def test_the_file_that_the_unit_reads(make_node: Make, settings: dict[str, t.Any], path: str) -> None:
    found = look(make_node(**settings))
    assert (found.extra_arguments, found.extra_arguments_fault) == (path, "")
    assert found.files.get(path) == settings["files"].get(path)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (unit(argv=ARGV.replace(" $KUBELET_EXTRA_ARGS", "")), "kubelet.service does not give kubelet $KUBELET_EXTRA_ARGS"),
        (unit(argv="/usr/bin/kubelet ${KUBELET_EXTRA_ARGS}"), "kubelet.service does not give kubelet $KUBELET_EXTRA_ARGS"),
        (unit(argv=f"/bin/sh -c exec {ARGV}"), "kubelet.service does not start kubelet itself"),
        (unit(argv=f"/usr/bin/systemd-inhibit {ARGV}"), "kubelet.service does not start kubelet itself"),
        (unit(environment=f"{OWN} KUBELET_EXTRA_ARGS=--v=2"), "kubelet.service itself sets KUBELET_EXTRA_ARGS"),
        (unit(environment=f"{SHOWN} [unprintable]"), f"{NAME} {DOUBTFUL}"),
        (unit(environment=f"[unprintable] {OWN}", deb="KUBELET_EXTRA_ARGS=\n"), f"{KUBEADM} and KUBELET_KUBECONFIG_ARGS {DOUBTFUL}"),
        (unit(environment=f"{OWN} KUBELET_EXTRA_ARGS=--v=2\\x20--node-ip=::1"), "kubelet.service itself sets KUBELET_EXTRA_ARGS"),
        (unit([FLAGS]), f"kubelet.service reads neither {DEB} nor {RPM}"),
        (unit(["/etc/environment"]), f"kubelet.service reads neither {DEB} nor {RPM}"),
        (unit(flags="KUBELET_EXTRA_ARGS=--v=2\n"), f"KUBELET_EXTRA_ARGS is in {FLAGS}, which is not in /etc"),
        (unit(flags=f"KUBELET_KUBEADM_ARGS='{WORD}'\n"), "kubelet.service names --config-dir elsewhere"),
        (unit(flags=f"KUBELET_KUBEADM_ARGS={WORD}", deb=f"{NAME}={WORD}"), "kubelet.service names --config-dir elsewhere"),
        (unit(argv=f"/usr/bin/kubelet {WORD} $KUBELET_EXTRA_ARGS"), "kubelet.service names --config-dir elsewhere"),
        (unit(flags="KUBELET_KUBEADM_ARGS=--x='y\n"), f"{KUBEADM} {DOUBTFUL}"),
        (unit(deb="KUBELET_EXTRA_ARGS='--v=2\n"), f"KUBELET_EXTRA_ARGS in {DEB} cannot be made out for certain"),
        (unit(deb="# x \\\nKUBELET_EXTRA_ARGS=--v=2\n"), f"KUBELET_EXTRA_ARGS in {DEB} cannot be made out for certain"),
    ],
)  # fmt: skip
def test_where_it_would_not_be_sure_to_reach_kubelet(make_node: Make, settings: dict[str, t.Any], fault: str) -> None:
    found = look(make_node(**settings), config=examples.CONFIG)
    assert (found.extra_arguments, found.extra_arguments_fault) == ("", fault)


def test_a_kubelet_that_the_unit_has_not_started(make_node: Make) -> None:
    node = make_node(**unit(deb="KUBELET_EXTRA_ARGS=\n"))
    node.add_process(77, ["/usr/bin/kubelet", f"--config={examples.CONFIG}"])
    assert look(node).extra_arguments_fault == "the kubelet that runs is not the one that kubelet.service has started"
    bare = make_node(**{**unit(), "services": {}})
    assert look(bare).extra_arguments_fault == "kubelet has no systemd unit"


def test_what_systemd_takes_away_again_or_starts_twice(make_node: Make) -> None:
    node = make_node(**unit())
    systemctl = node.root / "usr/bin/systemctl"
    works = systemctl.read_text().replace("exec ", "", 1)
    for more, fault in (
        ("UnsetEnvironment=HOME KUBELET_EXTRA_ARGS", "kubelet.service does not give kubelet $KUBELET_EXTRA_ARGS"),
        ("ExecStart={ path=/bin/true ; argv[]=/bin/true ; }", "kubelet.service does not start kubelet itself"),
    ):
        systemctl.write_text(f"{works}\nprintf '%s\\n' '{more}'\n".replace("print()", ""))
        systemctl.chmod(0o755)
        shown = machine_of(node).run(["/usr/bin/systemctl", "show", "kubelet.service"]).out
        # What is shown of a unit ends in an empty line, behind which this would be of another one.
        systemctl.write_text("#!/bin/sh\ncat <<'END'\n" + shown.replace("\n\n", "\n").rstrip() + "\nEND\n")
        assert look(node).extra_arguments_fault == fault


@pytest.mark.parametrize("target", ["/etc/kubernetes/extra", "../kubernetes/extra"])
def test_a_link_is_followed(make_node: Make, target: str) -> None:
    node = make_node(**unit())
    node.write("/etc/kubernetes/extra", "KUBELET_EXTRA_ARGS=--v=2\n")
    link = node.root / DEB.lstrip("/")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    assert look(node).extra_arguments == DEB


@pytest.mark.parametrize(
    ("target", "leads"),
    [("/dev/null", "/dev/null"), ("/run/kubelet", "/run/kubelet"), ("../../usr/lib/kubelet", "/usr/lib/kubelet")],
)  # fmt: skip
def test_a_link_that_leads_elsewhere_is_not_written(make_node: Make, target: str, leads: str) -> None:
    node = make_node(**unit())
    (node.root / "dev").mkdir()
    (node.root / "dev/null").touch()
    link = node.root / DEB.lstrip("/")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    assert look(node).extra_arguments_fault == (
        f"KUBELET_EXTRA_ARGS is in {DEB}, and that is {leads}, which is not in /etc"
    )


def test_a_place_that_cannot_be(make_node: Make) -> None:
    node = make_node(**unit())
    node.write("/etc/default", "a file")
    assert look(node).extra_arguments_fault == f"{DEB} cannot be looked at: Not a directory"


def test_it_is_for_kubeadms_kind_alone(make_node: Make) -> None:
    for settings in (examples.rancher("k3s", "1.33.4"), examples.microk8s(), examples.openshift4()):
        found = look(make_node(**settings))
        assert (found.extra_arguments, found.extra_arguments_fault, found.drop_ins_there) == ("", "", False)


def test_what_a_record_names_is_read_too(make_node: Make) -> None:
    """Kubelet may not read the drop-in any more."""
    ours = f"{examples.CONFIG_DIR}/99-accel-qat.conf"
    record = "/var/lib/accel-qat/kubelet.json"
    for text, found in (
        ('{"format": 1, "files": {"/srv/x": {}, "relative": {}}}', {"/srv/x"}),
        ("{", set()),
        ("[" * 5000, set()),
        ('{"files": 1}', set()),
        ("[]", set()),
    ):
        node = make_node(**unit(deb="KUBELET_EXTRA_ARGS=\n"))
        for path, content in {ours: examples.CONFIGURATION, "/srv/x": "x", record: text}.items():
            node.write(path, content)
        seen = look(node, record=record)
        assert set(seen.files) == {examples.CONFIG, DEB, ours, *found}
        assert seen.drop_ins_there
