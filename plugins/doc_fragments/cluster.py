# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches the Kubernetes API."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - The file that says how to reach the cluster.
      - Without it, and without O(host), the file of the environment variable E(KUBECONFIG), then C(~/.kube/config), then the
        service account of the pod that Ansible runs in.
      - The environment variable E(K8S_AUTH_KUBECONFIG) stands in for it.
    type: path
  context:
    description:
      - The context of the file; its current one when not given.
      - The environment variable E(K8S_AUTH_CONTEXT) stands in for it.
    type: str
  host:
    description:
      - The URL of the API server, instead of that of the file.
      - The environment variable E(K8S_AUTH_HOST) stands in for it.
    type: str
  api_key:
    description:
      - The bearer token to authenticate with.
      - The environment variable E(K8S_AUTH_API_KEY) stands in for it.
    type: str
  ca_cert:
    description:
      - A file with the certificate of the authority that the API server's own is checked against.
      - The environment variable E(K8S_AUTH_SSL_CA_CERT) stands in for it.
    type: path
  validate_certs:
    description:
      - Whether the API server's certificate is looked at.
      - The environment variable E(K8S_AUTH_VERIFY_SSL) stands in for it.
    type: bool
  client_cert:
    description:
      - A file with the certificate to authenticate with, where that is not done by O(api_key) or the kubeconfig.
      - The environment variable E(K8S_AUTH_CERT_FILE) stands in for it.
    type: path
  client_key:
    description:
      - A file with the key of O(client_cert).
      - The environment variable E(K8S_AUTH_KEY_FILE) stands in for it.
    type: path
  proxy:
    description:
      - The URL of an HTTP proxy that leads to the API server.
      - The environment variable E(K8S_AUTH_PROXY) stands in for it.
      - What becomes of E(HTTPS_PROXY), and of C(proxy-url) in the kubeconfig, is up to the release of the Python package.
    type: str
  no_proxy:
    description:
      - Hosts that are reached without the proxy, separated by commas.
      - The environment variable E(K8S_AUTH_NO_PROXY) stands in for it.
    type: str
requirements:
  - kubernetes >= 24.2.0 (Python package, on the host that runs the module)
notes:
  - Runs where the API server can be reached, which is mostly the controller, with C(delegate_to=localhost) and without
    C(become).
"""
