# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of kubelet's two gRPC interfaces, built at run time from the tables below.

Sources: k8s.io/kubelet pkg/apis/deviceplugin/v1beta1/api.proto and pkg/apis/pluginregistration/v1/api.proto. Building them here
takes a few milliseconds, and spares the package a compiler at set-up and code that only fits one release of protobuf.
"""

from __future__ import annotations

import types
import typing as t

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from ._node.fields import lines_in, words_in

_DEVICE_PLUGIN = """
Empty
DevicePluginOptions: pre_start_required bool = 1, get_preferred_allocation_available bool = 2
RegisterRequest: version string = 1, endpoint string = 2, resource_name string = 3, options DevicePluginOptions = 4
NUMANode: ID int64 = 1
TopologyInfo: nodes NUMANode* = 1
Device: ID string = 1, health string = 2, topology TopologyInfo = 3
ListAndWatchResponse: devices Device* = 1
PreStartContainerRequest: devices_ids string* = 1
PreStartContainerResponse
ContainerPreferredAllocationRequest: available_deviceIDs string* = 1, must_include_deviceIDs string* = 2, allocation_size int32 = 3
PreferredAllocationRequest: container_requests ContainerPreferredAllocationRequest* = 1
ContainerPreferredAllocationResponse: deviceIDs string* = 1
PreferredAllocationResponse: container_responses ContainerPreferredAllocationResponse* = 1
ContainerAllocateRequest: devices_ids string* = 1
AllocateRequest: container_requests ContainerAllocateRequest* = 1
Mount: container_path string = 1, host_path string = 2, read_only bool = 3
DeviceSpec: container_path string = 1, host_path string = 2, permissions string = 3
CDIDevice: name string = 1
ContainerAllocateResponse: envs map = 1, mounts Mount* = 2, devices DeviceSpec* = 3, annotations map = 4, cdi_devices CDIDevice* = 5
AllocateResponse: container_responses ContainerAllocateResponse* = 1
"""

_PLUGIN_REGISTRATION = """
InfoRequest
PluginInfo: type string = 1, name string = 2, endpoint string = 3, supported_versions string* = 4
RegistrationStatus: plugin_registered bool = 1, error string = 2
RegistrationStatusResponse
"""

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}


def _messages(package: str, table: str) -> types.SimpleNamespace:
    """The message classes of a table, one message a line; `*` marks a repeated field, `map` one from string to string."""
    file = descriptor_pb2.FileDescriptorProto(name=package + ".proto", package=package, syntax="proto3")
    for line in lines_in(table.strip()):
        name, _colon, fields = line.partition(":")
        message = file.message_type.add(name=name)
        for field in filter(None, fields.split(", ")):
            _add_field(package, message, *words_in(field.replace("=", "")))
    pool = descriptor_pool.DescriptorPool()  # one of our own: the process may hold other messages of these names
    pool.AddSerializedFile(file.SerializeToString())
    classes = {
        message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{message.name}"))
        for message in file.message_type
    }
    return types.SimpleNamespace(**classes)


def _add_field(package: str, message: t.Any, name: str, kind: str, number: str) -> None:
    label = _Field.LABEL_REPEATED if kind.endswith("*") or kind == "map" else _Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=int(number), label=label)
    kind = kind.rstrip("*")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
        return
    field.type = _Field.TYPE_MESSAGE
    if kind != "map":
        field.type_name = f".{package}.{kind}"
        return
    # What protoc makes of map<string, string>: a nested message of key and value.
    entry = message.nested_type.add(name=name.capitalize() + "Entry")
    entry.options.map_entry = True
    for position, part in enumerate(("key", "value"), 1):
        entry.field.add(name=part, number=position, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
    field.type_name = f".{package}.{message.name}.{entry.name}"


v1beta1: t.Any = _messages("v1beta1", _DEVICE_PLUGIN)
"""Messages of the package v1beta1, each an attribute: `v1beta1.Device(ID=...)`."""

pluginregistration: t.Any = _messages("pluginregistration", _PLUGIN_REGISTRATION)
"""Messages of the package pluginregistration."""

VERSION = "v1beta1"
HEALTHY = "Healthy"
UNHEALTHY = "Unhealthy"
DEVICE_PLUGIN_SERVICE = "v1beta1.DevicePlugin"
REGISTRATION_SERVICE = "v1beta1.Registration"
PLUGIN_REGISTRATION_SERVICE = "pluginregistration.Registration"
