# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node of files with secrets wherever one may be, and what is gathered of it."""

from __future__ import annotations

import base64
import json
import typing as t
from pathlib import Path

from harness.node_files import NodeFiles

from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult, LiveMachine
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Request
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import LiveKernelWithPods, Pods
from ansible_collections.accel.qat.plugins.module_utils._support.archive import Bundle
from ansible_collections.accel.qat.plugins.module_utils._support.commands import run_bounded
from ansible_collections.accel.qat.plugins.module_utils._support.gather import Asked, Gatherer

PF = "0000:6b:00.0"
TAKEN = 1795948524.0
KUBELET = "/var/lib/kubelet"
_DIRECTORIES = ("/usr/bin", "/usr/sbin")


class NodeWithSecrets:
    """Each call of `secret` makes another secret, which must not be in the archive."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.files = NodeFiles(directory / "n")
        self.files.add_pf(PF, vfs=2)
        self.secrets: list[str] = []
        self.addresses: dict[str, str] = {}
        for place in ("usr/bin", "etc/accel-qat", "var/lib/kubelet/pods", "var/lib/accel-qat"):
            (self.root / place).mkdir(parents=True)
        self.root.chmod(0o755)
        self.write("/etc/accel-qat/node.json", json.dumps({"devices": [{"services": ["dc"]}]}))

    def secret(self) -> str:
        self.secrets.append(f"s3cr3t{len(self.secrets):03d}Word")
        return self.secrets[-1]

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def program(self, name: str, does: str) -> None:
        self.write(f"/usr/bin/{name}", f"#!/bin/sh\n{does}\n", 0o755)

    def run(self, command: t.Sequence[str]) -> CommandResult:
        """Without a chroot, which takes root and a whole system there."""
        _chroot, root, program, *words = command
        return run_bounded([root + program, *words])

    def gather(self, **more: t.Any) -> Bundle:
        roots = (str(self.files.sys), str(self.files.proc), str(self.files.dev))
        kernel = LiveKernelWithPods(*roots, Pods([str(self.root) + KUBELET]))
        bundle = Bundle("node1", TAKEN, **more)
        asked = Asked(
            kubelet=Request(offered=False, flavour="kubeadm", version="1.30.0", config="/var/lib/kubelet/config.yaml"),
            files=[
                "/etc/accel-qat/node.json",
                "/var/lib/accel-qat/found.json",
                "/var/lib/accel-qat/kubelet.json",
                "/etc/systemd/system/qat-node.service",
            ],
            argument_files=["/var/lib/accel-qat/kernel_arguments"],
            units=["qat-node.service"],
            configuration=str(self.root / "etc/accel-qat/node.json"),
            record=str(self.root / "var/lib/accel-qat/found.json"),
            qatctl="/usr/bin/qatctl",
            plugin_directory="/opt/accel-qat/device-plugin",
            **self.addresses,
            kubelet_roots=[str(self.root) + KUBELET],
            proc_root=str(self.files.proc),
            sysfs_root=str(self.files.sys),
            dev_root=str(self.files.dev),
            collection="0.1.0",
            cluster=self.cluster(),
        )
        try:
            Gatherer(kernel, LiveMachine(self.run, str(self.root), _DIRECTORIES), asked, bundle).gather()
        finally:
            kernel.close()
        return bundle

    def cluster(self) -> dict[str, t.Any]:
        return {"allocatable": {"qat.intel.com/cy": "2"}}

    def fill(self) -> None:
        """Put a secret into each source."""
        secret = self.secret
        (self.files.proc / "cmdline").write_text(f"ro intel_iommu=on rd.luks.key={secret()} quiet\n")
        (self.files.proc / "meminfo").write_text(f"MemTotal: 1 kB\nHugePages_Total: 4\nSecret: {secret()}\n")
        (self.files.dev / "kmsg").write_text(
            "6,1,1000,-;vfio-pci 0000:6b:00.1: enabling device\n"
            f"6,2,2000,-;Kernel command line: intel_iommu=on x={secret()}\n"
            f"6,3,3000,-;qat: the token is {secret()}\n6,4,4000,-;usb: {secret()}\n"
        )
        self.write(
            "/etc/default/grub", f'GRUB_CMDLINE_LINUX="intel_iommu=on rd.luks.key={secret()}"\nGRUB_X={secret()}\n'
        )
        self.write("/boot/grub/grub.cfg", f"password root {secret()}\n\tlinux /vmlinuz ro quiet pw={secret()}\n")
        self.write("/etc/kernel/cmdline", f"ro quiet key={secret()}\n")
        self.write("/var/lib/accel-qat/kernel_arguments", f"intel_iommu=on\nx={secret()}\n")
        self.write("/etc/modprobe.d/vfio.conf", f"# {secret()}\noptions vfio-pci ids=8086:4941\n")
        self.write("/etc/default/qat", f"POLICY=0\nPASSWORD={secret()}\nX={secret()}\n")
        self.write(
            f"{KUBELET}/config.yaml",
            f"kind: KubeletConfiguration\n# {secret()}\nstaticPodURLHeader:\n  X:\n  - {secret()}\n"
            f"staticPodURL: https://me:{secret()}@h/?sig={secret()}\ncpuManagerPolicy: static\npassword: |\n  {secret()}\n",
        )
        self.write(
            f"{KUBELET}/kubeadm-flags.env", f'KUBELET_KUBEADM_ARGS="--token={secret()} --password {secret()} --v=2"\n'
        )
        self.write(
            "/etc/default/kubelet",
            f"HTTPS_PROXY=http://me:{secret()}@proxy:3128\nX={secret()}\nKUBELET_EXTRA_ARGS=--v=2\n",
        )
        self.write(f"{KUBELET}/cpu_manager_state", json.dumps({"policyName": "none", "token": secret()}))
        answer = base64.b64encode(f"env {secret()}".encode()).decode()
        entry = {
            "PodUID": "u",
            "ContainerName": "c",
            "ResourceName": "r",
            "DeviceIDs": {"0": ["d"]},
            "AllocResp": answer,
        }
        self.write(
            f"{KUBELET}/device-plugins/kubelet_internal_checkpoint",
            json.dumps({"Data": {"PodDeviceEntries": [entry], "RegisteredDevices": {"r": ["d"]}}, "Checksum": 1}),
        )
        self.secrets.append(answer)
        record = {
            "format": 1,
            "files": {"/x": {"text": f"a: 1\ntoken: {secret()}\n", "found": [{"name": "password", "value": secret()}]}},
        }
        self.write("/var/lib/accel-qat/kubelet.json", json.dumps(record))
        self._fill_units()

    def _fill_units(self) -> None:
        secret = self.secret
        unit = "/etc/systemd/system/kubelet.service"
        self.write(
            unit,
            f"[Service]\n# {secret()}\nEnvironment=A={secret()}\nExecStart=/usr/bin/kubelet --token {secret()} \\\n  {secret()}\n",
        )
        drop_in = f"{unit}.d/10-x.conf"
        self.write(
            drop_in,
            f'[Service]\nEnvironment="HTTP_PROXY=http://me:{secret()}@h" B={secret()}\nSetCredential=a:{secret()}\n',
        )
        self.write("/etc/systemd/system/qat-node.service", "[Service]\nExecStart=/usr/local/sbin/qatctl apply\n")
        self.program(
            "systemctl",
            # Of properties that are named it shows no others.
            "names='[A-Za-z]*'\n"
            'for word; do case "$word" in --property=*) names="$(echo "${word#*=}" | tr , "|")";; esac; done\n'
            "grep -E \"^($names)=\" << 'EOF'\n"
            "Id=kubelet.service\nLoadState=loaded\nActiveState=active\nMainPID=0\n"
            f"FragmentPath={unit}\nDropInPaths={drop_in} /etc/shadow /etc/systemd/system/../../shadow\n"
            f"StatusText=password {secret()}\n"
            f"Environment=X={secret()}\n"
            "ExecStart={ path=/usr/bin/kubelet ; argv[]=/usr/bin/kubelet "
            f"--config=/var/lib/kubelet/config.yaml --token={secret()} --other {secret()} ; ignore_errors=no }}\n"
            "EOF",
        )
        head = "2026-11-29T10:05:30+0000 node kubelet[812]: "
        self.program(
            "journalctl",
            "cat << 'EOF'\n"
            f'{head}I1129 10:05:30.1 812 manager.go:5] "Got registration of device plugin" resourceName="qat.intel.com/cy"\n'
            f"{head}device plugin token={secret()}\n"
            f"{head}E1129 10:05:31.1 812 k.go:5] container &Container{{Env:[]EnvVar{{EnvVar{{Name:X,Value:{secret()},}}}}}} start failed\n"
            f"{head}I1129 10:05:31.1 812 config.go:5] password:\n{head}  {secret()}\n"
            f"{head}I1129 10:05:31.1 812 x.go:5] passphrase:\n{head}  config {secret()}\n"
            "EOF",
        )
        self.program("qatctl", "echo qatctl 0.1.0")
        self.write("/etc/shadow", f"root:{secret()}:1::::::\n", 0o600)
