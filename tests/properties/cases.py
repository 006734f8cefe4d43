# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes with rules for them, drawn for the properties."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import Rule, parse_configuration
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError
from ansible_collections.accel.qat.tests.fakes import NodeSpec
from ansible_collections.accel.qat.tests.fakes.strategies import scenarios

Case = tuple[NodeSpec, tuple[Rule, ...]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A node, and the rules of a configuration that does not contradict itself."""
    spec, document = draw(scenarios())
    try:
        return spec, parse_configuration(document)
    except ConfigurationError:
        assume(False)
        raise
