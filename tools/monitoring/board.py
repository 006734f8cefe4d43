# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The board of Grafana, made of the panels by Grafana's own SDK, whose types are the schema."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_types
from grafana_foundation_sdk.models import dashboard as types
from grafana_foundation_sdk.models import prometheus as prometheus_types

from .queries import ROWS, Kind, Panel, Query

TITLE = "QAT"
UID = "accel-qat"
_SOURCE = types.DataSourceRef(type_val="prometheus", uid="${datasource}")
_EACH_NODE = "qat_device_plugin_build_info|qat_exporter_build_info"
_HEIGHTS: Mapping[Kind, int] = {Kind.NUMBER: 4, Kind.BARS: 8, Kind.LINES: 8, Kind.TABLE: 8}


def board() -> str:
    """The board as JSON, as Grafana imports it."""
    made = (
        dashboard.Dashboard(TITLE)
        .uid(UID)
        .description(
            "QAT on Kubernetes nodes: how busy, by whom, what is wrong. Made by tools/monitoring of accel.qat."
        )
        .tags(["qat", "kubernetes"])
        .refresh("30s")
        .time("now-1h", "now")
        .tooltip(types.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_choice("instance", "Node", f'label_values({{__name__=~"{_EACH_NODE}"}}, instance)'))
        .with_variable(_choice("pf", "PF", 'label_values(qat_pf_info{instance=~"$instance"}, pf)'))
    )
    numbers = itertools.count(1)
    for row in ROWS:
        made.with_row(dashboard.Row(row.title).id(next(numbers)))
        for panel in row.panels:
            made.with_panel(_panel(panel).id(next(numbers)))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """A variable of which several values can be chosen, or all."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(_SOURCE)
        .query({"query": query, "refId": name})
        .refresh(types.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(types.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel) -> Any:
    made = _MAKERS[panel.kind](panel)
    made.title(panel.title).datasource(_SOURCE).unit(panel.unit).min(0).span(panel.width).height(_HEIGHTS[panel.kind])
    if panel.text:
        made.description(panel.text)
    if panel.most is not None:
        made.max(panel.most)
    for number, query in enumerate(panel.queries):
        made.with_target(_target(query, chr(ord("A") + number), panel.kind))
    return made


def _target(query: Query, name: str, kind: Kind) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(query.expression).ref_id(name).datasource(_SOURCE)
    made = made.range() if kind is Kind.LINES else made.instant()
    if kind is Kind.TABLE:
        made.format(prometheus_types.PromQueryFormat.TABLE)
    return made.legend_format(query.legend) if query.legend else made


def _number(_panel: Panel) -> stat.Panel:
    return stat.Panel().reduce_options(_last()).graph_mode(common_types.BigValueGraphMode.NONE)


def _bars(_panel: Panel) -> bargauge.Panel:
    return (
        bargauge.Panel()
        .reduce_options(_last())
        .orientation(common_types.VizOrientation.HORIZONTAL)
        .display_mode(common_types.BarGaugeDisplayMode.GRADIENT)
    )


def _lines(_panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(common_types.LegendDisplayMode.LIST)
    return (
        timeseries.Panel()
        .fill_opacity(10)
        .legend(legend.placement(common_types.LegendPlacement.BOTTOM).show_legend(True))
    )


def _table(panel: Panel) -> table.Panel:
    columns = {name: number for number, name in enumerate(panel.columns)}
    shown = {"include": {"names": list(panel.columns)}}
    return (
        table.Panel()
        .with_transformation(types.DataTransformerConfig(id_val="filterFieldsByName", options=shown))
        .with_transformation(types.DataTransformerConfig(id_val="organize", options={"indexByName": columns}))
    )


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


_MAKERS: Mapping[Kind, Callable[[Panel], Any]] = {
    Kind.NUMBER: _number,
    Kind.BARS: _bars,
    Kind.LINES: _lines,
    Kind.TABLE: _table,
}
