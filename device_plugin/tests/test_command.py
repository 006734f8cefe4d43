# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from harness.process import SOURCE
from qat_device_plugin import cli


def call(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qat_device_plugin", *flags],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("name", ["service", "exporter.command"])
def test_nothing_loads_openssl(name: str) -> None:
    """3.5 MB of memory, or 8 with TLS. The first page of metrics loads it, as prometheus_client does."""
    program = (
        "import importlib, sys\n"
        "from qat_device_plugin.cli import without_tls\n"
        f"with without_tls(): importlib.import_module('qat_device_plugin.{name}')\n"
        "sys.exit(', '.join({'_hashlib', '_ssl'} & set(sys.modules)) or 0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")


def test_a_valid_configuration(tmp_path: Path) -> None:
    config = tmp_path / "node.json"
    config.write_text('{"devices": [{"advertise": 2}]}')
    result = call("--validate", f"--config={config}")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{config}: the configuration is valid\n", "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "{",
            "not valid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1); correct the file",
        ),
        ("{}", "devices: the key is missing; add it"),
        (
            '{"devices": [{"services": ["sim"]}]}',
            "devices[0].services[0]: 'sim' is not known; use one of sym, asym, dc, dcc, decomp",
        ),
        (None, "there is no such file; name another file with --config"),
    ],
)
@pytest.mark.parametrize("validate", [True, False], ids=["check", "start"])
def test_a_bad_configuration_is_one_sentence(tmp_path: Path, text: str | None, problem: str, validate: bool) -> None:
    config = tmp_path / "node.json"
    if text is not None:
        config.write_text(text)
    result = call(f"--config={config}", QAT_DEVICE_PLUGIN_VALIDATE=str(validate))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"qat-device-plugin: {config}: {problem}\n"


def test_a_wrong_flag_is_one_sentence() -> None:
    result = call("--registration=carrier-pigeon")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("qat-device-plugin: argument --registration: invalid choice: 'carrier-pigeon'")
    assert len(result.stderr.splitlines()) == 1


def test_a_reload_that_cannot_start_a_process_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> t.NoReturn:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("signal.pthread_sigmask", lambda *_arguments: None)
    monkeypatch.setattr(os, "fork", refuse)
    path = tmp_path / "node.json"
    path.write_text('{"devices": []}')
    assert cli.main([f"--config={path}", "--take-over=1"]) == 1
    assert capsys.readouterr().err == (
        "qat-device-plugin: no process can be started: Resource temporarily unavailable; the instance before it goes on\n"
    )


def test_a_node_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    config = tmp_path / "node.json"
    config.write_text('{"devices": []}')
    result = call(f"--config={config}", f"--sysfs-root={tmp_path}", f"--kubelet-dir={tmp_path}")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "qat-device-plugin: /sys/bus/pci/devices: cannot list the PCI devices: No such file or directory; "
        "mount sysfs, or set sysfs_root\n"
    )


def test_help_names_the_twins() -> None:
    assert "QAT_DEVICE_PLUGIN_CONFIG" in call("--help").stdout


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("qat_device_plugin", "qat-device-plugin"),
        ("qat_device_plugin.exporter.command", "qat-exporter"),
        ("qat_device_plugin.vm_attach.command", "qat-vm-attach"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_sentence(module: str, name: str) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", module, "--help"],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        f"{name}: standard output: cannot be written: No space left on device; make room on that file system\n",
    )
