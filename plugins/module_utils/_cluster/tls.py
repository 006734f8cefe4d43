# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why TLS with the API server, or a proxy, did not come about or broke off: in words, with what to do. Decisions only."""

from __future__ import annotations

import re
import ssl
import typing as t

FILES = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
"""What is raised where a file of certificates or keys cannot be read: nobody else of a connection raises it."""

_BROKE_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError)

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL says, by its release, of bytes that are no record of TLS, such as an answer of HTTP."""

# The codes of X509_V_ERR_..., see openssl/x509_vfy.h.
_TIME = "see the clocks of the controller and of the API server, and renew its certificate if they are right"
_NAME = "give its address as the certificate has it, or that name as tls-server-name in the kubeconfig"
_REMEDIES = {9: _TIME, 10: _TIME, 62: _NAME, 64: _NAME}
_AUTHORITY = (
    "give the CA of this cluster in the kubeconfig or with ca_cert, and see that the address is the API server's"
)


class TlsError(Exception):
    """TLS did not come about, or broke off. `cause` is what Python says of it.

    Of urllib3's own the client would make an answer with status 0.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Fault(t.NamedTuple):
    """What is wrong and what to do, as parts of a sentence; `away` where it may be right in a while."""

    reason: str
    remedy: str
    away: bool = False


def fault(cause: BaseException) -> Fault:
    """What to say of it. Whoever closes has no certificate that is wrong: a load balancer does where no API server is behind it."""
    if isinstance(cause, _BROKE_OFF):
        remedy = "see that the address is right and that the controller may connect to it"
        return Fault("the connection was closed during TLS", remedy, away=True)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _of_certificate(cause.verify_message, _REMEDIES.get(cause.verify_code, _AUTHORITY))
    # urllib3's own for a name that is not in the certificate, which is no error of TLS.
    if not isinstance(cause, OSError):
        return _of_certificate(str(cause), _NAME)
    if isinstance(cause, FILES):
        remedy = "see ca_cert, client_cert and client_key, or the files that the kubeconfig names"
        return Fault(f"a file of certificates or keys cannot be read: {cause.strerror}", remedy)
    if getattr(cause, "reason", None) in _NO_TLS:
        remedy = "see that the port is the right one, and whether the address begins with http:// there"
        return Fault("what listens at the address does not speak TLS", remedy)
    words = re.sub(r"^\[[^]]*\] | \(_ssl\.c:\d+\)$", "", str(cause))
    return Fault(f"TLS fails: {words}", "see what listens at the address, and the certificates and keys that are given")


def _of_certificate(words: str, remedy: str) -> Fault:
    return Fault(f"its certificate is refused: {words.rstrip('.')}", remedy)
