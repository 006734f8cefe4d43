# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubelet and a container runtime say to each other, as far as kubelet 1.20 needs it.

Source: k8s.io/cri-api pkg/apis/runtime/v1alpha2/api.proto. Enumerations are numbers on the wire, so they are numbers here.
"""

from __future__ import annotations

import typing as t

from qat_device_plugin.messages import _messages

_TABLE = """
VersionRequest: version string = 1
VersionResponse: version string = 1, runtime_name string = 2, runtime_version string = 3, runtime_api_version string = 4
StatusRequest
RuntimeCondition: type string = 1, status bool = 2, reason string = 3, message string = 4
RuntimeStatus: conditions RuntimeCondition* = 1
StatusResponse: status RuntimeStatus = 1
UpdateRuntimeConfigRequest
UpdateRuntimeConfigResponse
PodSandboxMetadata: name string = 1, uid string = 2, namespace string = 3, attempt int32 = 4
PodSandboxConfig: metadata PodSandboxMetadata = 1, hostname string = 2, log_directory string = 3, labels map = 6, annotations map = 7
RunPodSandboxRequest: config PodSandboxConfig = 1, runtime_handler string = 2
RunPodSandboxResponse: pod_sandbox_id string = 1
StopPodSandboxRequest: pod_sandbox_id string = 1
StopPodSandboxResponse
RemovePodSandboxRequest: pod_sandbox_id string = 1
RemovePodSandboxResponse
PodSandboxStatusRequest: pod_sandbox_id string = 1, verbose bool = 2
PodSandboxNetworkStatus: ip string = 1
PodSandboxStatus: id string = 1, metadata PodSandboxMetadata = 2, state int32 = 3, created_at int64 = 4, \
  network PodSandboxNetworkStatus = 5, labels map = 7, annotations map = 8
PodSandboxStatusResponse: status PodSandboxStatus = 1
PodSandboxStateValue: state int32 = 1
PodSandboxFilter: id string = 1, state PodSandboxStateValue = 2, label_selector map = 3
ListPodSandboxRequest: filter PodSandboxFilter = 1
PodSandbox: id string = 1, metadata PodSandboxMetadata = 2, state int32 = 3, created_at int64 = 4, labels map = 5, annotations map = 6
ListPodSandboxResponse: items PodSandbox* = 1
ImageSpec: image string = 1
KeyValue: key string = 1, value string = 2
Device: container_path string = 1, host_path string = 2, permissions string = 3
LinuxContainerResources: cpu_period int64 = 1, cpu_quota int64 = 2, cpu_shares int64 = 3, memory_limit_in_bytes int64 = 4
LinuxContainerConfig: resources LinuxContainerResources = 1
ContainerMetadata: name string = 1, attempt int32 = 2
ContainerConfig: metadata ContainerMetadata = 1, image ImageSpec = 2, envs KeyValue* = 6, devices Device* = 8, labels map = 9, \
  annotations map = 10, log_path string = 11, linux LinuxContainerConfig = 15
CreateContainerRequest: pod_sandbox_id string = 1, config ContainerConfig = 2, sandbox_config PodSandboxConfig = 3
CreateContainerResponse: container_id string = 1
StartContainerRequest: container_id string = 1
StartContainerResponse
StopContainerRequest: container_id string = 1, timeout int64 = 2
StopContainerResponse
RemoveContainerRequest: container_id string = 1
RemoveContainerResponse
ReopenContainerLogRequest: container_id string = 1
ReopenContainerLogResponse
ContainerStateValue: state int32 = 1
ContainerFilter: id string = 1, state ContainerStateValue = 2, pod_sandbox_id string = 3, label_selector map = 4
ListContainersRequest: filter ContainerFilter = 1
Container: id string = 1, pod_sandbox_id string = 2, metadata ContainerMetadata = 3, image ImageSpec = 4, image_ref string = 5, \
  state int32 = 6, created_at int64 = 7, labels map = 8, annotations map = 9
ListContainersResponse: containers Container* = 1
ContainerStatusRequest: container_id string = 1, verbose bool = 2
ContainerStatus: id string = 1, metadata ContainerMetadata = 2, state int32 = 3, created_at int64 = 4, started_at int64 = 5, \
  image ImageSpec = 8, image_ref string = 9, labels map = 12, annotations map = 13, log_path string = 15
ContainerStatusResponse: status ContainerStatus = 1
ListContainerStatsRequest
ListContainerStatsResponse
ListImagesRequest
Image: id string = 1, repo_tags string* = 2, size int64 = 4
ListImagesResponse: images Image* = 1
ImageStatusRequest: image ImageSpec = 1, verbose bool = 2
ImageStatusResponse: image Image = 1
ImageFsInfoRequest
FilesystemIdentifier: mountpoint string = 1
UInt64Value: value int64 = 1
FilesystemUsage: timestamp int64 = 1, fs_id FilesystemIdentifier = 2, used_bytes UInt64Value = 3, inodes_used UInt64Value = 4
ImageFsInfoResponse: image_filesystems FilesystemUsage* = 1
"""

RUNTIME_SERVICE = "runtime.v1alpha2.RuntimeService"
IMAGE_SERVICE = "runtime.v1alpha2.ImageService"
VERSION = "0.1.0"
"""Of the interface: kubelet takes no other (pkg/kubelet/kuberuntime/kuberuntime_manager.go)."""
READY, NOT_READY = 0, 1
CREATED, RUNNING, EXITED, UNKNOWN = 0, 1, 2, 3

v1alpha2: t.Any = _messages("runtime.v1alpha2", _TABLE)
