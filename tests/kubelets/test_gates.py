# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of gates is what kubelets say: each is asked about every gate, on and off, and ends before it touches anything."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet.gates import GATES, find_gate, unmet_needs
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import programs, releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.releases import Release

Ask = Callable[[Mapping[str, bool]], str]
"""What kubelet says against a configuration with these gates; nothing if it takes them."""

SECONDS = 600
TAKEN = "cannot exit on lock file contention: no lock file specified"
"""With --exit-on-lock-contention alone it says this, once it has found nothing else wrong."""
KINDS = {
    "unrecognized feature gate: ": "unknown",
    "feature is locked to ": "locked",
    "depends on features that are disabled: ": "needs",
}
"""What the refusals of gates have in them."""


def asked() -> list[str]:
    """The releases whose kubelet is asked: to compile those of all takes a quarter of an hour, which the nightly run has."""
    compiled = [name for name, release in releases.RELEASES.items() if not release.packaged]
    return compiled if os.environ.get("ACCEL_QAT_KUBELETS") == "all" else [releases.NEWEST.name]


@pytest.fixture(scope="module", params=asked())
def release(request: pytest.FixtureRequest) -> Release:
    return releases.named(request.param)


@pytest.fixture(scope="module")
def ask(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Asks the kubelet of this release."""
    programs.ensure(release, ["kubelet"])
    program = programs.program(release, "kubelet")
    directory = tmp_path_factory.mktemp(release.name)

    def ask(gates: Mapping[str, bool]) -> str:
        name = "-".join(f"{gate}-{value}" for gate, value in gates.items())
        return refusal(program, directory / f"{name or 'none'}.json", gates)

    return ask


def refusal(program: Path, file: Path, gates: Mapping[str, bool]) -> str:
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # Whatever this host has.
        "failCgroupV1": False,
        "featureGates": gates,
    }
    file.write_text(json.dumps(configuration))
    # It makes a key and a certificate before it reports: not where the kubelet of this host has its own.
    places = [f"--cert-dir={file.parent}/pki", f"--root-dir={file.parent}/root"]
    command = [str(program), f"--config={file}", "--exit-on-lock-contention", *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    if TAKEN in said:
        return ""
    match = re.search(r"^panic: .*?error: (.*)$", said, re.MULTILINE)
    assert match, said
    return match[1]


def minor(release: Release) -> int:
    return int(release.name.partition(".")[2])


def test_a_kubelet_takes_a_file_without_gates(ask: Ask) -> None:
    assert ask({}) == ""


def test_a_kubelet_refuses_a_gate_that_nobody_has(ask: Ask) -> None:
    assert ask({"DevicePlugin": True}) == "unrecognized feature gate: DevicePlugin"


def test_each_gate_is_taken_or_refused_as_the_table_says(ask: Ask, release: Release) -> None:
    questions = list(product([gate.name for gate in GATES], (True, False)))
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda question: ask(dict([question])), questions))
    said = {f"{gate}: {value}": kind(answer) for (gate, value), answer in zip(questions, answers, strict=True)}
    assert said == {f"{gate}: {value}": by_the_table(gate, value, minor(release)) for gate, value in questions}


def test_what_a_gate_needs_is_taken_with_it(ask: Ask, release: Release) -> None:
    """Both off is taken, where off is possible at all: so the refusal of one was about the other."""
    tried = 0
    for gate in GATES:
        for need in gate.needs:
            off = {gate.name: False, need: False}
            alone = {by_the_table(name, False, minor(release)) for name in off}
            if alone <= {"", "needs"} and not unmet_needs(off, minor(release)):
                assert ask(off) == ""
                tried += 1
    assert tried > 0


def by_the_table(name: str, value: bool, minor: int) -> str:
    """How a kubelet 1.`minor` refuses a file with this gate alone, as `kind` has it."""
    gate = find_gate(name)
    assert gate is not None
    if not gate.known_to(minor):
        return "unknown"
    stage = gate.stage(minor)
    if stage.locked and value is not stage.default:
        return "locked"
    return "needs" if unmet_needs({name: value}, minor) else ""


def kind(answer: str) -> str:
    """Of a refusal by kubelet, if it is one that the table can foresee."""
    return next((name for words, name in KINDS.items() if words in answer), answer)
