#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks the exporter of a node how it is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: exporter_info
short_description: Report whether the exporter of a node sees the QAT devices (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Asks the exporter, which the role C(accel.qat.qat_device_plugin) runs, for its pages. Whoever listens at its address has to be
    root's, and no container's; otherwise nothing that is said there is believed.
  - The role C(accel.qat.qat_verify) runs it.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.info_module
  - accel.qat.attributes.platform_linux
options:
  address:
    description: Where the exporter serves its metrics, as C(HOST:PORT).
    type: str
    default: 127.0.0.1:9483
"""

EXAMPLES = r"""
- name: Ask the exporter
  become: true
  accel.qat.exporter_info:
  register: exporter
"""

RETURN = r"""
problem:
  description: A sentence on why it cannot be said that the exporter sees the devices; empty where it does.
  returned: success
  type: str
  sample: "the exporter could not be asked at 127.0.0.1:9483: Connection refused; journalctl -u accel-qat-exporter says why"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._host.installed import EXPORTER_ADDRESS
from ansible_collections.accel.qat.plugins.module_utils._kubelet.listener import BadAnswer, NotBelieved, fetch
from ansible_collections.accel.qat.plugins.module_utils._node.printable import printable, shortened
from ansible_collections.accel.qat.plugins.module_utils._run import run_module

SECONDS = 30.0
"""On a node with much to do a process can wait long for its turn, and is well."""

_ITS_OWN = "\nqat_exporter_collection_success "
_REMEDY = "journalctl -u accel-qat-exporter says why"


def problem_of(address: str) -> str:
    """Why it cannot be said that the exporter there sees the devices; empty where it does."""
    try:
        # In this order: the page of metrics is what makes the exporter look.
        (_status, metrics), (status, said) = fetch(address, ("/metrics", "/readyz"), SECONDS)
    except NotBelieved as error:
        return f"what answers for the exporter is not believed: {error}"
    except BadAnswer as error:
        return f"what answers for the exporter at {address} is not it: {error}"
    except OSError as error:
        return f"the exporter could not be asked at {address}: {error.strerror or error}; {_REMEDY}"
    if _ITS_OWN not in metrics:
        return f"what answers for the exporter at {address} is not it: its metrics are those of something else"
    if status != 200:
        return f"the exporter does not see the devices: {shortened(printable(' '.join(said.split())), 500)}; {_REMEDY}"
    return ""


def main() -> None:
    """Read the parameters, and ask."""
    module = AnsibleModule(
        argument_spec={"address": {"type": "str", "default": EXPORTER_ADDRESS}}, supports_check_mode=True
    )

    def work() -> dict[str, t.Any]:
        return {"changed": False, "problem": problem_of(module.params["address"])}

    run_module(module, work)


if __name__ == "__main__":
    main()
