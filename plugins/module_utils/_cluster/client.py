# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a client of the API server, of the package `kubernetes`, is made: by a kubeconfig, arguments, the environment, through a proxy."""

from __future__ import annotations

import traceback
import typing as t
import urllib.parse

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import env_fallback

from .._node.errors import ConfigurationError
from . import bounded
from .objects import Object

try:
    import kubernetes
    import urllib3
    import urllib3.exceptions
    import urllib3.util
    import yaml
    from kubernetes.config.config_exception import ConfigException
except ImportError:
    HAS_KUBERNETES = False
    IMPORT_ERROR: str | None = traceback.format_exc()
    UNUSABLE: tuple[type[Exception], ...] = ()
else:
    HAS_KUBERNETES = True
    IMPORT_ERROR = None
    # What the client raises for a kubeconfig that it cannot use, be it malformed in whichever way.
    UNUSABLE = (ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError)


def _from_environment(name: str, **option: t.Any) -> dict[str, t.Any]:
    return {**option, "fallback": (env_fallback, [f"K8S_AUTH_{name}"])}


ACCESS: dict[str, dict[str, t.Any]] = {
    "kubeconfig": _from_environment("KUBECONFIG", type="path"),
    "context": _from_environment("CONTEXT", type="str"),
    "host": _from_environment("HOST", type="str"),
    "api_key": _from_environment("API_KEY", type="str", no_log=True),
    "ca_cert": _from_environment("SSL_CA_CERT", type="path"),
    "validate_certs": _from_environment("VERIFY_SSL", type="bool"),
    "client_cert": _from_environment("CERT_FILE", type="path"),
    "client_key": _from_environment("KEY_FILE", type="path"),
    # A proxy's address can have a password.
    "proxy": _from_environment("PROXY", type="str", no_log=True),
    "no_proxy": _from_environment("NO_PROXY", type="str"),
}
"""The arguments by which a module reaches the API server: the names and variables of kubernetes.core."""


_SETTINGS = {
    "host": "host",
    "ca_cert": "ssl_ca_cert",
    "client_cert": "cert_file",
    "client_key": "key_file",
    "proxy": "proxy",
    "no_proxy": "no_proxy",
}
"""What the client calls those of them that go before what the kubeconfig says."""


def client_by(kubeconfig: str) -> t.Any:
    """A client by a kubeconfig, with all else from the environment of this process, as a module has it. Raises ConfigurationError."""
    validated = ArgumentSpecValidator(ACCESS).validate({"kubeconfig": kubeconfig})
    if validated.error_messages:
        raise ConfigurationError(
            " ".join(validated.error_messages), where="K8S_AUTH_...", remedy="correct the variable"
        )
    return client_of(validated.validated_parameters)


def client_of(params: Object) -> t.Any:
    """A client by a kubeconfig, by an address and a token or certificate, or as a pod of the cluster itself; raises ConfigurationError."""
    configuration = kubernetes.client.Configuration()
    _require_url(params["host"] or "")
    if not params["host"] or params["kubeconfig"]:
        _load(configuration, params)
    _override(configuration, params)
    _keep_overridden(configuration, params)
    # Nothing that is asked here becomes right by asking again at once, and each try may take the whole time.
    configuration.retries = False
    return _made(configuration)


def _override(configuration: t.Any, params: Object) -> None:
    """Set what is given, in place of what the kubeconfig says."""
    for name, setting in _SETTINGS.items():
        if params[name]:
            setattr(configuration, setting, params[name])
    if params["api_key"]:
        configuration.api_key = {"authorization": f"Bearer {params['api_key']}"}
    if params["validate_certs"] is not None:
        configuration.verify_ssl = params["validate_certs"]
        if not configuration.verify_ssl:  # asked for, so no news
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def _keep_overridden(configuration: t.Any, params: Object) -> None:
    """Of a kubeconfig with a token the client loads all again before each request, so that the token may be another by then."""
    refresh = configuration.refresh_api_key_hook
    if refresh is None:
        return

    def refreshed(loaded: t.Any) -> None:
        refresh(loaded)
        _override(loaded, params)
        loaded.refresh_api_key_hook = refreshed  # it has put back its own

    configuration.refresh_api_key_hook = None if params["api_key"] else refreshed


def _require_url(host: str) -> None:
    try:
        urllib.parse.urlsplit(host)
    except ValueError:
        raise ConfigurationError("is no URL", where="host", remedy="write https://HOST:PORT") from None


def _made(configuration: t.Any) -> t.Any:
    """The client itself, which takes the proxy's address apart. Raises ConfigurationError, without that: it may have a password."""
    try:
        if configuration.proxy:
            proxy = urllib3.util.parse_url(configuration.proxy)
            _require_whole(proxy)
            # The client hands on no more than the address. A proxy for SOCKS takes them from that.
            if proxy.auth and proxy.scheme in ("http", "https"):
                user_and_password = urllib.parse.unquote(proxy.auth, "latin-1")
                configuration.proxy_headers = urllib3.util.make_headers(proxy_basic_auth=user_and_password)
        return bounded.bound(kubernetes.client.ApiClient(configuration), bounded.LONGEST, bounded.SECONDS)
    except (urllib3.exceptions.HTTPError, ValueError, TypeError, AssertionError, ImportError):
        raise ConfigurationError(
            "is no URL of an HTTP proxy",
            where="proxy",
            remedy="write http://HOST:PORT, with % for special characters of a password",
        ) from None


def _require_whole(proxy: t.Any) -> None:
    """Raises ValueError where a `#`, `/` or `?` of a password has ended what is taken for the host, so that it were looked up and shown."""
    if not proxy.host or any("@" in (part or "") for part in (proxy.path, proxy.query, proxy.fragment)):
        raise ValueError


def _load(configuration: t.Any, params: Object) -> None:
    config: t.Any = kubernetes.config
    try:
        config.load_kube_config(params["kubeconfig"], params["context"], configuration)
    except ConfigException as error:
        if not params["kubeconfig"] and not params["context"]:
            try:
                config.load_incluster_config(configuration)
            except ConfigException:
                pass
            else:
                return
        raise ConfigurationError(
            f"cannot be used: {error}",
            where=f"kubeconfig {params['kubeconfig'] or '~/.kube/config'}",
            remedy=f"name the file of this cluster with kubeconfig{'' if params['kubeconfig'] else ', or give host and api_key'}",
        ) from None
    except UNUSABLE as error:
        raise ConfigurationError(
            f"cannot be used: {' '.join(str(error).split())}",
            where=f"kubeconfig {params['kubeconfig'] or '~/.kube/config'}",
            remedy="correct the file",
        ) from None
