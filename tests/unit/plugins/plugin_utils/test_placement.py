# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drop-in whose directory kubelet has to be given: where the fields go, what moves, what is refused, and that all of it goes again."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._host.edits import FileEdit
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.plan import Plan
from ansible_collections.accel.qat.tests.properties.altered import examples
from ansible_collections.accel.qat.tests.unit.plugins.plugin_utils.nodes import (
    CONFIG,
    CONFIG_DIR,
    DEFAULTS,
    DROP_IN,
    KUBEADM_CONFIG,
    OURS,
    after,
    kubeadm,
    packaged,
    plan,
    rancher,
    with_drop_ins,
)

TOPOLOGY: dict[str, t.Any] = {"topologyManagerPolicy": "single-numa-node"}
ARGUMENT = f"--config-dir={CONFIG_DIR}"
HEAD = "# Managed by accel.qat.kubelet_config\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
GIVEN = f"KUBELET_EXTRA_ARGS={ARGUMENT}\n"
SITE = f"{CONFIG_DIR}/20-site.conf"


def paths(made: Plan) -> list[str]:
    return [edit.path for edit in made.edits]


def done(observed: Observed, **desired: t.Any) -> Observed:
    """The node once that is brought about; `plan` sees that nothing is left to do."""
    made = plan(observed, **desired)
    node = after(observed, made)
    return replace(node, drop_ins_there=any(path.startswith(CONFIG_DIR) for path in node.files))


def back(observed: Observed) -> Observed:
    there = after(observed, plan(observed, restore=True, drained=True))
    assert there.record is None
    return there


def refusal(observed: Observed, **desired: t.Any) -> str:
    with pytest.raises(NodeError) as caught:
        plan(observed, **desired)
    return caught.value.sentence()


@pytest.mark.parametrize("version", ["1.30.0", "1.31.4", "1.37.2"])
def test_where_kubelet_takes_drop_ins_and_is_added_to_none(version: str) -> None:
    node = packaged(version)
    made = plan(node, **TOPOLOGY)
    assert paths(made) == [OURS, DEFAULTS]
    assert (made.drop_in, made.config_dir, made.made, made.notes) == (OURS, CONFIG_DIR, (CONFIG_DIR,), ())
    assert made.started_with == (ARGUMENT,)
    there = done(node, **TOPOLOGY)
    assert there.files == {
        CONFIG: KUBEADM_CONFIG,
        OURS: f"{HEAD}topologyManagerPolicy: single-numa-node\n",
        DEFAULTS: GIVEN,
    }
    assert back(there).files == node.files


@pytest.mark.parametrize("drop_in", ["auto", "never", "always"])
def test_nothing_is_added_where_nothing_is_wanted(drop_in: str) -> None:
    for node in (packaged(), packaged("1.29.4"), kubeadm()):
        assert plan(node, drop_in=drop_in).edits == ()
    # A gate that stands in the file goes from there, and needs no drop-in.
    gate = packaged("1.36.3", f"{KUBEADM_CONFIG}featureGates:\n  MemoryManager: true\n")
    assert paths(plan(gate, drop_in=drop_in)) == [CONFIG]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (None, GIVEN),
        ("", GIVEN),
        ("# For people.\nNO_PROXY=x", f"# For people.\nNO_PROXY=x\n{GIVEN}"),
        ('KUBELET_EXTRA_ARGS="--node-ip=192.0.2.1"\n', f'KUBELET_EXTRA_ARGS="--node-ip=192.0.2.1 {ARGUMENT}"\n'),
        ("KUBELET_EXTRA_ARGS=--v=2 \\\n --v=3\nA=1", f"KUBELET_EXTRA_ARGS=--v=2 \\\n --v=3 {ARGUMENT}\nA=1"),
        ("KUBELET_EXTRA_ARGS=--a=b\r\n", f"KUBELET_EXTRA_ARGS=--a=b {ARGUMENT}\r\n"),
        ("KUBELET_EXTRA_ARGS=--v=1\nKUBELET_EXTRA_ARGS=--v=2\n", f"KUBELET_EXTRA_ARGS=--v=1\nKUBELET_EXTRA_ARGS=--v=2 {ARGUMENT}\n"),
    ],
)  # fmt: skip
def test_the_file_of_arguments_is_changed_in_that_alone_and_back(arguments: str | None, given: str) -> None:
    node = packaged(arguments=arguments)
    there = done(node, **TOPOLOGY)
    assert there.files[DEFAULTS] == given
    assert back(there).files == node.files


def test_where_the_directory_is_a_link_the_fields_go_where_kubelet_reads_them() -> None:
    made = plan(packaged(linked=[CONFIG_DIR]), **TOPOLOGY)
    reason = f"{CONFIG_DIR} is a symbolic link, and kubelet reads no drop-ins behind one"
    assert (paths(made), made.config_dir, made.notes) == ([CONFIG], "", (NOTE.format(reason),))
    assert reason in refusal(packaged(linked=[CONFIG_DIR]), drop_in="always", **TOPOLOGY)
    given = replace(with_drop_ins(), linked=[CONFIG_DIR])
    made = plan(given, **TOPOLOGY)
    assert (paths(made), made.config_dir, made.drop_in) == ([CONFIG], "", "")
    assert back(after(given, made)).files == given.files


def test_where_the_directory_that_we_gave_becomes_a_link_that_is_said() -> None:
    there = replace(done(packaged(), **TOPOLOGY), linked=[CONFIG_DIR])
    reason = f"{CONFIG_DIR} is a symbolic link, and kubelet reads no drop-ins behind one"
    made = plan(there, **TOPOLOGY)
    assert (paths(made), made.notes) == ([CONFIG], (NOTE.format(reason),))
    assert reason in refusal(there, drop_in="always", **TOPOLOGY)
    assert plan(after(there, made), **TOPOLOGY).notes == ()
    assert reason in refusal(after(there, made), drop_in="always", **TOPOLOGY)
    assert back(after(there, made)).files == packaged().files


K3S_DROP_INS = "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d"


@pytest.mark.parametrize(
    ("node", "directory", "refused"),
    [
        (rancher("k3s", "1.33.4", drop_in=DROP_IN), K3S_DROP_INS, "is a symbolic link"),
        (rancher("rke2", "1.33.4", drop_in=DROP_IN), K3S_DROP_INS.replace("k3s", "rke2"), "is a symbolic link"),
        (
            replace(with_drop_ins(), words=["kubelet", ARGUMENT], config="", files={SITE: DROP_IN}),
            CONFIG_DIR,
            "has no such configuration file",
        ),
    ],
    ids=["K3s", "RKE2", "drop-ins alone"],
)
def test_what_was_written_goes_from_behind_a_link_too(node: Observed, directory: str, refused: str) -> None:
    there = done(node, **TOPOLOGY)
    linked = replace(there, linked=[directory])
    assert f"{directory}/99-accel-qat.conf" in linked.files
    assert back(linked).files == node.files
    assert plan(linked, restore=True, drained=True).effective == {}
    # Nor is it written there.
    assert refused in refusal(linked, **TOPOLOGY)


PIECES = [
    "KUBELET_EXTRA_ARGS",
    "A",
    "=",
    "--b",
    " ",
    "\n",
    "\r\n",
    "\\",
    "\\\n",
    '"',
    "'",
    "#",
    ";",
    ARGUMENT,
    "--config-dir=/srv/x",
]


@examples(15)
@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
def test_whatever_is_in_the_file_of_arguments_there_and_back(text: str) -> None:
    node = packaged(arguments=text)
    try:
        there = done(node, **TOPOLOGY)
    except NodeError as refused:
        where = refused.where
    else:
        where = DEFAULTS
        assert back(there).files == node.files
    assert where == DEFAULTS


def test_what_others_change_in_it_since_stays() -> None:
    for arguments, theirs, left in (
        ("KUBELET_EXTRA_ARGS=--v=2\n", f"# New.\nKUBELET_EXTRA_ARGS={ARGUMENT} --v=4\n", "# New.\nKUBELET_EXTRA_ARGS= --v=4\n"),
        (None, f"A=1\n{GIVEN}", "A=1\n"),
        ("KUBELET_EXTRA_ARGS=\n", f"{GIVEN}A=1\n", "KUBELET_EXTRA_ARGS=\nA=1\n"),
        ("KUBELET_EXTRA_ARGS=--v=2\n", "KUBELET_EXTRA_ARGS=--v=2\n", "KUBELET_EXTRA_ARGS=--v=2\n"),
        ("KUBELET_EXTRA_ARGS=\n", "KUBELET_EXTRA_ARGS=--config-dir=/srv/x\n", "KUBELET_EXTRA_ARGS=--config-dir=/srv/x\n"),
    ):  # fmt: skip
        there = done(packaged(arguments=arguments), **TOPOLOGY)
        there = replace(there, files={**there.files, DEFAULTS: theirs})
        assert back(there).files == {CONFIG: KUBEADM_CONFIG, DEFAULTS: left}


IN_FILE = done(packaged("1.29.9"), **TOPOLOGY, kubeReserved={"cpu": "1"})


def upgraded(node: Observed, version: str = "1.31.4") -> Observed:
    return replace(node, version=f"Kubernetes v{version}")


def test_before_1_30_they_are_in_the_file() -> None:
    assert set(IN_FILE.files) == {CONFIG, DEFAULTS}
    assert plan(packaged("1.29.9"), **TOPOLOGY).notes == ()


def test_an_upgrade_moves_them_at_once() -> None:
    # Only one of them is named now, and the other one stays in force.
    made = plan(upgraded(IN_FILE), topologyManagerPolicy="restricted")
    assert paths(made) == [OURS, DEFAULTS, CONFIG]
    there = after(IN_FILE, made)
    assert there.files[CONFIG] == KUBEADM_CONFIG
    assert there.files[OURS] == f'{HEAD}kubeReserved:\n  cpu: "1"\ntopologyManagerPolicy: restricted\n'
    assert made.effective["kubeReserved"] == {"cpu": "1"}
    assert back(there).files == packaged().files


def test_also_where_others_have_changed_the_file_since() -> None:
    theirs = replace(
        upgraded(IN_FILE),
        files={**IN_FILE.files, CONFIG: IN_FILE.files[CONFIG].replace("single-numa-node", "none") + "maxPods: 9\n"},
    )
    there = done(theirs)
    assert there.files[OURS] == f'{HEAD}kubeReserved:\n  cpu: "1"\n'
    assert "topologyManagerPolicy: none" in there.files[CONFIG]
    assert "cpu" not in there.files[CONFIG].replace("cpuManager", "")
    left = back(there).files
    assert "topologyManagerPolicy: none" in left[CONFIG]
    assert left[CONFIG].endswith("maxPods: 9\n")


def test_kubelets_own_thresholds_that_were_written_beside_do_not_move() -> None:
    in_file = done(packaged("1.29.9"), evictionHard={"memory.available": "1Gi"})
    assert "nodefs.available: 10%" in in_file.files[CONFIG]
    there = done(upgraded(in_file))
    assert there.files[OURS] == f"{HEAD}evictionHard:\n  memory.available: 1Gi\n"
    # Nor are they lost on the way into the file.
    assert done(there, drop_in="never").files[CONFIG].count("  imagefs.inodesFree: 5%") == 1


@pytest.mark.parametrize("said", [{}, {"evictionHard": {"nodefs.available": "7%"}}])
def test_one_of_several_thresholds_is_named_with_the_move(said: dict[str, t.Any]) -> None:
    in_file = done(packaged("1.29.9"), evictionHard={"memory.available": "1Gi", "nodefs.available": "9%"})
    there = done(upgraded(in_file), **said)
    value = "7%" if said else "9%"
    assert there.files[OURS] == f"{HEAD}evictionHard:\n  memory.available: 1Gi\n  nodefs.available: {value}\n"


def test_a_gate_that_was_removed_does_not_come_back_by_the_move() -> None:
    found = f"{KUBEADM_CONFIG}featureGates:\n  DevicePlugins: true\n"
    in_file = done(packaged("1.29.9", found), **TOPOLOGY)
    assert "DevicePlugins" not in in_file.files[CONFIG]
    there = done(upgraded(in_file))
    assert (there.files[CONFIG], "single-numa-node" in there.files[OURS]) == (KUBEADM_CONFIG, True)


def test_a_gate_that_the_newer_kubelet_refuses_does_not_move() -> None:
    in_file = done(packaged("1.29.9"), featureGates={"MemoryManager": False}, **TOPOLOGY)
    made = plan(upgraded(in_file, "1.36.2"))
    assert [(one.gate, one.verdict.value) for one in made.decisions if one.changes] == [("MemoryManager", "remove")]
    there = done(upgraded(in_file, "1.36.2"))
    assert "MemoryManager" not in "".join(there.files.values())


def test_what_kubeadm_upgrade_takes_away_is_not_missed() -> None:
    """It writes the file again."""
    there = done(packaged(), **TOPOLOGY)
    assert plan(upgraded(there, "1.32.1"), **TOPOLOGY).edits == ()
    written = replace(there, files={**there.files, CONFIG: KUBEADM_CONFIG + "maxPods: 9\n"})
    assert plan(written, **TOPOLOGY).edits == ()
    # With an older kubelet, they were in it.
    lost = replace(upgraded(IN_FILE), files={**IN_FILE.files, CONFIG: KUBEADM_CONFIG})
    assert paths(plan(lost, **TOPOLOGY)) == [OURS, DEFAULTS]


@pytest.mark.parametrize("version", ["1.29.9", "1.27.1"])
def test_before_a_downgrade_they_move_back(version: str) -> None:
    node = packaged()
    there = done(node, **TOPOLOGY)
    made = plan(upgraded(there, version), version_given=True)
    assert paths(made) == [CONFIG, DEFAULTS, OURS]
    assert (made.drop_in, made.config_dir, made.made) == ("", "", (CONFIG_DIR,))
    again = after(there, made)
    assert again.files == {**node.files, CONFIG: KUBEADM_CONFIG + "topologyManagerPolicy: single-numa-node\n"}
    assert back(again).files == node.files


def test_drop_ins_of_others_would_be_lost_by_a_downgrade() -> None:
    there = done(packaged(), **TOPOLOGY)
    there = replace(there, files={**there.files, SITE: DROP_IN})
    assert refusal(upgraded(there, "1.29.9"), version_given=True) == (
        f"{SITE}: kubelet 1.29 does not start with --config-dir, without which this file does not count any more; bring what it says into "
        f"{CONFIG}, and remove it; nothing was written"
    )
    # And by the way back: they are read on.
    made = plan(there, restore=True)
    assert paths(made) == [OURS]
    assert made.notes == (f"{SITE} is of somebody else, so that {DEFAULTS} still gives kubelet --config-dir.",)
    # To have the fields in the file there is nothing to be had from it either.
    assert plan(there, drop_in="never").edits == ()


def test_our_drop_in_with_fields_of_others_is_read_on_too() -> None:
    there = done(packaged(), **TOPOLOGY)
    there = replace(there, files={**there.files, OURS: there.files[OURS] + "maxPods: 9\n"})
    assert back(there).files == {CONFIG: KUBEADM_CONFIG, DEFAULTS: GIVEN, OURS: f"{HEAD}maxPods: 9\n"}
    assert plan(there, drop_in="never").edits == ()
    assert refusal(upgraded(there, "1.29.9"), version_given=True).startswith(
        f"{OURS}: kubelet 1.29 does not start with"
    )
    # Nor does one come in force that was there before us.
    stale = packaged(files={OURS: DROP_IN})
    assert plan(stale, **TOPOLOGY).notes == (NOTE.format(f"{OURS} would come in force with it"),)


def test_by_the_option_they_are_in_the_file() -> None:
    node = packaged()
    assert paths(plan(node, drop_in="never", **TOPOLOGY)) == [CONFIG]
    there = done(done(node, **TOPOLOGY), drop_in="never")
    assert there.files == {**node.files, CONFIG: KUBEADM_CONFIG + "topologyManagerPolicy: single-numa-node\n"}
    assert done(there).files == done(node, **TOPOLOGY).files


FAULT = "the kubelet that runs is not the one that kubelet.service has started"
NOTE = f"The fields are in {CONFIG}, which kubeadm writes again when it upgrades the node, since kubelet cannot be given --config-dir: "
NOTE += "{}."


def test_where_it_cannot_be_given_a_note_says_why() -> None:
    node = kubeadm(extra_arguments_fault=FAULT)
    made = plan(node, **TOPOLOGY)
    assert (paths(made), made.notes, made.drop_in) == ([CONFIG], (NOTE.format(FAULT),), "")
    assert plan(after(node, made), **TOPOLOGY).notes == ()
    assert plan(node, drop_in="never", **TOPOLOGY).notes == ()
    given = "drop_in: kubelet cannot be given --config-dir=/etc/kubernetes/kubelet.conf.d: {}; start kubelet with {}, or leave drop_in out "
    given += f"to have the fields in {CONFIG}; nothing was written"
    assert refusal(node, drop_in="always", **TOPOLOGY) == given.format(FAULT, ARGUMENT)
    # Those that stand in the file are not where they were asked for.
    assert refusal(after(node, made), drop_in="always") == given.format(FAULT, ARGUMENT)
    old = "kubelet 1.29 does not take --config-dir without more"
    assert refusal(packaged("1.29.9"), drop_in="always", **TOPOLOGY) == given.format(old, ARGUMENT)


def test_the_note_does_not_name_kubeadm_for_the_file_of_another_tool() -> None:
    other = "/etc/kubernetes/kubelet-config.yaml"
    node = replace(kubeadm(extra_arguments_fault=FAULT, files={other: KUBEADM_CONFIG}), config=other)
    (note,) = plan(node, **TOPOLOGY).notes
    assert note.startswith(f"The fields are in {other}, which the tool that made it may write again, since kubelet ")


def test_drop_ins_that_kubelet_does_not_read_do_not_come_in_force() -> None:
    node = packaged(files={SITE: DROP_IN})
    made = plan(node, **TOPOLOGY)
    assert (paths(made), made.notes) == ([CONFIG], (NOTE.format(f"{SITE} would come in force with it"),))
    # A drop-in of ours that somebody has copied from another node is none of ours.
    copied = packaged(files={f"{CONFIG_DIR}/a/99-accel-qat.conf": DROP_IN})
    assert paths(plan(copied, **TOPOLOGY)) == [CONFIG]


@pytest.mark.parametrize("drop_in", ["auto", "never", "always"])
def test_a_directory_of_others_is_used_as_ever(drop_in: str) -> None:
    assert paths(plan(with_drop_ins(site=DROP_IN), drop_in=drop_in, **TOPOLOGY)) == [OURS]
    node = packaged(
        arguments=GIVEN, files={SITE: DROP_IN}, words=["kubelet", f"--config={CONFIG}", ARGUMENT], config_dir=CONFIG_DIR
    )
    there = done(node, drop_in=drop_in, **TOPOLOGY)
    assert there.files[DEFAULTS] == GIVEN
    assert plan(there, restore=True).made == ()
    assert back(there).files == node.files


@pytest.mark.parametrize("drop_in", ["auto", "never", "always"])
def test_for_other_flavours_it_says_nothing(drop_in: str) -> None:
    node = rancher("k3s", "1.33.4", drop_in=DROP_IN)
    node = replace(node, files={"/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/00-k3s-defaults.conf": DROP_IN})
    made = plan(node, drop_in=drop_in, **TOPOLOGY)
    assert paths(made) == ["/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/99-accel-qat.conf"]
    assert (made.notes, made.started_with) == ((), ())


def test_an_argument_that_somebody_has_taken_away_is_given_again() -> None:
    node = packaged(arguments="KUBELET_EXTRA_ARGS=--v=2\n")
    there = done(node, **TOPOLOGY)
    taken = replace(there, files={**there.files, DEFAULTS: "KUBELET_EXTRA_ARGS=--v=4\n"})
    again = done(taken, **TOPOLOGY)
    assert again.files == {**there.files, DEFAULTS: f"KUBELET_EXTRA_ARGS=--v=4 {ARGUMENT}\n"}
    assert back(again).files == {**node.files, DEFAULTS: "KUBELET_EXTRA_ARGS=--v=4\n"}
    # Where it cannot be, what is left of ours goes.
    gone = replace(taken, extra_arguments="", extra_arguments_fault=FAULT)
    assert paths(plan(gone, **TOPOLOGY)) == [CONFIG, OURS]


@pytest.mark.parametrize("running", [True, False])
def test_a_restart_that_is_yet_to_come_is_no_difference(running: bool) -> None:
    """The command line of the kubelet that runs has no argument of ours yet; that of one that does not has."""
    there = done(packaged(), **TOPOLOGY)
    words = [*there.words, *([] if running else [ARGUMENT])]
    node = replace(there, running=running, words=words, config_dir="" if running else CONFIG_DIR)
    assert plan(node, **TOPOLOGY).edits == ()
    assert back(node).files == packaged().files


def test_a_directory_that_the_caller_names_is_compared_with_the_command_line() -> None:
    node = packaged()
    assert refusal(replace(node, config_dir="/srv/x"), **TOPOLOGY).startswith(
        "config_dir: kubelet is started without --config-dir, and does not read what is in /srv/x; leave it out"
    )
    there = done(node, **TOPOLOGY)
    named = replace(there, words=[*there.words, ARGUMENT], config_dir=CONFIG_DIR)
    assert plan(named, **TOPOLOGY).edits == ()
    assert refusal(replace(named, config_dir="/srv/x"), **TOPOLOGY).startswith(
        "config_dir: kubelet reads its drop-ins in"
    )


def test_of_the_file_of_arguments_only_these_are_shown() -> None:
    arguments = "HTTPS_PROXY=http://user:secret@proxy\nKUBELET_EXTRA_ARGS=--v=2\n"
    made = plan(packaged(arguments=arguments), **TOPOLOGY)
    drop_in, given = made.diff()
    assert (given["before_header"], given["before"], given["after"]) == (
        DEFAULTS,
        "KUBELET_EXTRA_ARGS=--v=2\n",
        f"KUBELET_EXTRA_ARGS=--v=2 {ARGUMENT}\n",
    )
    assert drop_in["before_header"] == OURS
    assert made.edits[1] == FileEdit(DEFAULTS, arguments, arguments.replace("v=2", f"v=2 {ARGUMENT}"))


def test_an_argument_that_cannot_be_made_out_any_more_keeps_the_directory() -> None:
    """Kubelet would not start without it."""
    there = done(packaged(), **TOPOLOGY)
    unclear: dict[str, t.Any] = {"files": {**there.files, DEFAULTS: f'KUBELET_EXTRA_ARGS="{ARGUMENT} --x=\'y"\n'}}
    given: dict[str, t.Any] = {"extra_arguments": "", "words": [*there.words, ARGUMENT], "config_dir": CONFIG_DIR}
    assert refusal(replace(there, **unclear, **given), restore=True) == (
        f"{DEFAULTS}: KUBELET_EXTRA_ARGS cannot be made out for certain; write its arguments between double quotes, in one line; nothing "
        "was written"
    )
    # Nor where kubelet has come to have it by other means.
    moved = {**there.files, DEFAULTS: "KUBELET_EXTRA_ARGS=\n"}
    made = plan(replace(there, files=moved, **{**given, "extra_arguments_fault": FAULT}), restore=True)
    assert (paths(made), made.made, made.config_dir) == ([OURS], (), CONFIG_DIR)


def test_the_directory_stays_that_was_there() -> None:
    node = packaged(drop_ins_there=True)
    there = done(node, **TOPOLOGY)
    assert plan(there, restore=True).made == ()


def test_what_is_over_a_drop_in_is_refused_as_ever() -> None:
    node = packaged()
    node = replace(node, words=[*node.words, "--topology-manager-policy=none"])
    assert refusal(node, **TOPOLOGY) == (
        f"kubelet's command line: topologyManagerPolicy is set here and comes over {OURS}; change it here, or remove it"
    )
