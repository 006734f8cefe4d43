# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only way to libvirt, by the distribution's Python module `libvirt`, which is imported here and nowhere else.

libvirt's calls block. One that answers no more is noticed by its keepalive messages, and the call fails; before the connection stands
there are none, so the connection is made in a thread of its own, for which nobody waits longer than some seconds.
"""

from __future__ import annotations

import importlib
import queue
import time
import typing as t

from .._node.errors import NodeError
from .._node.printable import shortened
from ..limits import start_thread
from .decide import ATTACH, Step
from .domain import Domain, DomainError, host_device_xml, read_definition

MOST_DOMAINS = 1000
"""So many are looked at. A node runs far fewer; kubelet's own limit is 110 pods."""
CONNECT_SECONDS = 15.0
"""How long a libvirt that takes the connection may say nothing: as long as one that is connected."""
_KEEPALIVE_SECONDS, _KEEPALIVES = 5, 3
_LONGEST_NAME = 200
_REMEDY = "see that libvirtd, or virtqemud, runs, and what it logs"


Result = t.TypeVar("Result")


class LibvirtError(NodeError):
    """libvirt does not answer, or refuses what it was asked."""


class _NoThread(Exception):
    """There are as many threads as there may be. Not for what libvirt raises, whatever its kind: that says another thing."""

    def at(self, uri: str) -> LibvirtError:
        """The same of libvirt at this address."""
        remedy = "see what else runs on the node, or raise TasksMax of the unit"
        return LibvirtError(f"libvirt cannot be asked: {self}", uri, remedy)


def _started(work: t.Callable[[], None], name: str) -> None:
    """Start a thread for it. Raises _NoThread."""
    try:
        start_thread(work, name)
    except OSError as error:
        raise _NoThread(error.strerror) from None


def load() -> t.Any:
    """The module; raises NodeError where the node's Python does not have it."""
    try:
        return importlib.import_module("libvirt")
    except ImportError as error:
        raise NodeError(
            f"Python's module libvirt cannot be loaded: {error}",
            remedy="install python3-libvirt (Debian, Ubuntu, Fedora, RHEL) or python3-libvirt-python (SUSE), "
            "and run this with the distribution's own Python",
        ) from None


class Call(t.Generic[Result]):
    """What asks libvirt, in a thread of its own, as nothing else limits how long libvirt takes. One that never ends is left behind."""

    def __init__(self, work: t.Callable[[], Result]) -> None:
        self._work = work
        self._ends: queue.SimpleQueue[tuple[Result | None, Exception | None]] = queue.SimpleQueue()
        self.has_ended = False
        """Whether its result was had."""
        try:
            _started(self._run, "call")
        except _NoThread as error:
            self._ends.put((None, error))

    def _run(self) -> None:
        try:
            self._ends.put((self._work(), None))
        except Exception as error:
            self._ends.put((None, error))

    def result(self, seconds: float, uri: str) -> Result:
        """What it comes to, once. Raises what it raises, and LibvirtError where it has not ended within so many seconds."""
        try:
            result, error = self._ends.get(timeout=seconds)
        except queue.Empty:
            raise LibvirtError(f"libvirt does not answer within {seconds:.0f} seconds", uri, _REMEDY) from None
        self.has_ended = True
        if isinstance(error, _NoThread):
            raise error.at(uri) from None
        if error:
            raise error
        return t.cast(Result, result)


class Hypervisor:
    """libvirt at one address. `changed` is called, in a thread, when a domain comes, starts, ends or goes, or the connection is lost."""

    def __init__(self, libvirt: t.Any, uri: str, changed: t.Callable[[], None]) -> None:
        """Raises LibvirtError where there is no thread for that."""
        self._libvirt = libvirt
        self._uri = uri
        self._changed = changed
        self._connection: t.Any = None
        self._opening: Call[t.Any] | None = None
        # It would print each error; those that matter are raised, too.
        libvirt.registerErrorHandler(lambda *_: None, None)
        libvirt.virEventRegisterDefaultImpl()
        try:
            _started(self._follow_events, "events")
        except _NoThread as error:
            raise error.at(uri) from None

    def connect(self) -> None:
        """Connect, unless the connection stands. Raises LibvirtError."""
        if self.connected:
            return
        self.close()
        try:
            self._connection = self._opened()
            self._connection.setKeepAlive(_KEEPALIVE_SECONDS, _KEEPALIVES)
            self._connection.registerCloseCallback(lambda *_: self._changed(), None)
            lifecycle = self._libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
            self._connection.domainEventRegisterAny(None, lifecycle, lambda *_: self._changed(), None)
        except self._libvirt.libvirtError as error:
            self.close()
            raise self._error(error) from None

    def _opened(self) -> t.Any:
        """A new connection. One that libvirt has not answered for so far is waited for again, and no other is begun meanwhile."""
        if self._opening is None:
            self._opening = Call(lambda: self._libvirt.open(self._uri))
        try:
            connection = self._opening.result(CONNECT_SECONDS, self._uri)
        finally:
            if self._opening.has_ended:
                self._opening = None
        return connection

    @property
    def connected(self) -> bool:
        """Whether libvirt answered lately."""
        try:
            return self._connection is not None and self._connection.isAlive() == 1
        except self._libvirt.libvirtError:
            return False

    def close(self) -> None:
        """Forget the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except self._libvirt.libvirtError:
                return  # it is lost already

    def domains(self) -> tuple[Domain, ...]:
        """All domains as they are, without those that go meanwhile. Raises LibvirtError."""
        try:
            found = self._connection.listAllDomains(0)
        except self._libvirt.libvirtError as error:
            raise self._error(error) from None
        if len(found) > MOST_DOMAINS:
            raise LibvirtError(
                f"libvirt has {len(found)} domains, more than {MOST_DOMAINS}",
                where=self._uri,
                remedy="remove those that nothing uses",
            )
        read = map(self._domain, found)
        return tuple(one for one in read if one is not None)

    def do(self, step: Step) -> bool:
        """Make a change. Returns False where the domain is gone; raises LibvirtError where libvirt refuses."""
        live = self._libvirt.VIR_DOMAIN_AFFECT_LIVE if step.live else 0
        config = self._libvirt.VIR_DOMAIN_AFFECT_CONFIG if step.config else 0
        try:
            domain = self._connection.lookupByUUIDString(step.uuid)
            change = domain.attachDeviceFlags if step.action == ATTACH else domain.detachDeviceFlags
            change(host_device_xml(step.address), live | config)
        except self._libvirt.libvirtError as error:
            if self._is_gone(error):
                return False
            raise self._error(error) from None
        return True

    def _domain(self, domain: t.Any) -> Domain | None:
        uuid = name = ""
        try:
            uuid, name = domain.UUIDString(), shortened(domain.name(), _LONGEST_NAME)
            active, persistent = domain.isActive() == 1, domain.isPersistent() == 1
            live = domain.XMLDesc(0) if active else ""
            config = domain.XMLDesc(self._libvirt.VIR_DOMAIN_XML_INACTIVE) if persistent else ""
        except self._libvirt.libvirtError as error:
            if self._is_gone(error):
                return None
            if not name or not self.connected:
                raise self._error(error) from None
            problem = f"libvirt does not describe it: {error.get_error_message() or error}"
            return Domain(uuid, name, active=False, persistent=False, problem=problem)
        return understood(uuid, name, live, config)

    def _is_gone(self, error: t.Any) -> bool:
        return bool(error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN)

    def _error(self, error: t.Any) -> LibvirtError:
        return LibvirtError(
            f"libvirt says: {error.get_error_message() or error}",
            where=self._uri,
            remedy=_REMEDY,
        )

    def _follow_events(self) -> None:
        """Without this loop there are neither events nor keepalive messages, so it goes on whatever happens."""
        while True:
            try:
                self._libvirt.virEventRunDefaultImpl()
            except self._libvirt.libvirtError:
                time.sleep(1)


def understood(uuid: str, name: str, live: str, config: str) -> Domain:
    """A domain by its two definitions, of which one is empty where it has none."""
    nothing = Domain(uuid, name, active=bool(live), persistent=bool(config))
    try:
        now = read_definition(live) if live else None
        then = read_definition(config) if config else None
    except DomainError as error:
        return nothing._replace(problem=str(error))
    said = {one.container for one in (now, then) if one}
    if len(said) > 1:
        return nothing._replace(problem="it says that it is one container now, and another one at its next start")
    return nothing._replace(
        container=said.pop() if said else None,
        live=now.devices if now else (),
        config=then.devices if then else (),
    )
