{{- define "pointsman.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "pointsman.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pointsman.labels" -}}
{{ include "pointsman.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: gateway
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "pointsman.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "pointsman.name" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "pointsman.workerNamespace" -}}
{{- default .Release.Namespace .Values.discovery.namespace }}
{{- end }}

{{/* Labels as the arguments of a flag: one `key=value` an argument. */}}
{{- define "pointsman.labelArguments" -}}
{{- range $key, $value := . }}
- {{ printf "%s=%s" $key $value | quote }}
{{- end }}
{{- end }}

{{/* The configuration file. What the chart decides comes last. */}}
{{- define "pointsman.config" -}}
{{- $own := dict "host" "0.0.0.0" "port" (int .Values.ports.http) "prometheus_port" (int .Values.ports.metrics) "shutdown_delay_secs" .Values.shutdown.delaySecs "shutdown_grace_period_secs" .Values.shutdown.graceSecs }}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) }}
{{- end }}
