{{- /*
SPDX-FileCopyrightText: 2026 accel.qat contributors
SPDX-License-Identifier: GPL-3.0-or-later
*/ -}}

{{- /* The name of a pool's objects. */ -}}
{{- define "accel-qat.name" -}}
{{ .root.Chart.Name }}{{ if ne .pool.name "default" }}-{{ .pool.name }}{{ end }}
{{- end }}

{{- define "accel-qat.image" -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* What the DaemonSet of a pool knows its pods by. */ -}}
{{- define "accel-qat.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
accel.qat/pool: {{ .pool.name }}
{{- end }}

{{- define "accel-qat.labels" -}}
{{ include "accel-qat.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}
