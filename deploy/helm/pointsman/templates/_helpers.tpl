{{- define "pointsman.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "pointsman.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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

{{/* Whether the main port speaks TLS, and whether clients must show a certificate: "true", or nothing. */}}
{{- define "pointsman.tls" -}}
{{- if or .Values.tls.secretName .Values.config.tls_cert_path }}true{{ end }}
{{- end }}
{{- define "pointsman.mutualTls" -}}
{{- if or .Values.tls.clientCaKey .Values.config.tls_client_ca_path }}true{{ end }}
{{- end }}

{{/* Where metrics and probes are beside the main port: on the metrics port, or with config.admin_port on that. As JSON; `open`: from other pods too. */}}
{{- define "pointsman.metrics" -}}
{{- $config := .Values.config }}
{{- $tls := eq (include "pointsman.tls" .) "true" }}
{{- $found := dict "port" (int .Values.ports.metrics) "host" (default "0.0.0.0" $config.prometheus_host) "tls" (and $tls (default false $config.prometheus_tls)) "mutual" (default "" $config.prometheus_tls_client_ca_path) }}
{{- if $config.admin_port }}
{{- $found = dict "port" (int $config.admin_port) "host" (default "127.0.0.1" $config.admin_host) "tls" (and $tls (ne (toString $config.admin_tls) "false")) "mutual" (default "" $config.admin_tls_client_ca_path) }}
{{- end }}
{{- set $found "open" (not (has $found.host (list "127.0.0.1" "localhost" "::1"))) | toJson }}
{{- end }}

{{/* The port that kubelet probes, and how: the main port, or that of the metrics where the main one wants a certificate. */}}
{{- define "pointsman.probePort" -}}
{{- if include "pointsman.mutualTls" . -}}
{{- $metrics := fromJson (include "pointsman.metrics" .) -}}
port: metrics
scheme: {{ ternary "HTTPS" "HTTP" $metrics.tls }}
{{- else -}}
port: http
scheme: {{ ternary "HTTPS" "HTTP" (eq (include "pointsman.tls" .) "true") }}
{{- end }}
{{- end }}

{{/* What brings new pods when it changes: the configuration; where the gateway watches its file, only what needs a restart. */}}
{{- define "pointsman.restartsWith" -}}
{{- if .Values.config.watch_config }}
{{- $config := fromYaml (include "pointsman.config" .) }}
{{- range fromJsonArray (.Files.Get "files/needs-restart.json") }}{{ printf "%s=%s\n" . (get $config . | toJson) }}{{ end }}
{{- else }}
{{- include "pointsman.config" . }}
{{- end }}
{{- end }}

{{/* The configuration file. What the chart decides comes last. */}}
{{- define "pointsman.config" -}}
{{- $own := dict "host" "0.0.0.0" "port" (int .Values.ports.http) "prometheus_port" (int .Values.ports.metrics) "shutdown_delay_secs" .Values.shutdown.delaySecs "shutdown_grace_period_secs" .Values.shutdown.graceSecs }}
{{- if .Values.tls.secretName }}
{{- $own = mergeOverwrite $own (dict "tls_cert_path" "/etc/pointsman-tls/tls.crt" "tls_key_path" "/etc/pointsman-tls/tls.key") }}
{{- with .Values.tls.clientCaKey }}
{{- $own = mergeOverwrite $own (dict "tls_client_ca_path" (printf "/etc/pointsman-tls/%s" .)) }}
{{- end }}
{{- end }}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) }}
{{- end }}
