{{- define "worker.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Leaves room for "-metrics". */}}
{{- define "worker.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{- $name := include "worker.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "worker.selectorLabels" -}}
app.kubernetes.io/name: {{ include "worker.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "worker.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "worker.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: worker
app.kubernetes.io/part-of: hypha
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "worker.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "worker.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{- .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Where the jobs are. */}}
{{- define "worker.jobNamespace" -}}
{{- default .Release.Namespace .Values.kubernetes.namespace }}
{{- end }}

{{- define "worker.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/* Numbers as people write them, not as 1e+06. */}}
{{- define "worker.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{/* A mapping as options take it: key=value,… */}}
{{- define "worker.pairs" -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- $pairs = append $pairs (printf "%s=%s" $key (include "worker.text" $value)) -}}
{{- end -}}
{{- join "," $pairs }}
{{- end }}

{{/* What no pattern with a wildcard reaches: whoever had the worker's token or its account would be the worker. */}}
{{- define "worker.ownNames" -}}
{{- concat (list .Values.hypha.existingSecret (include "worker.serviceAccountName" .)) .Values.kubernetes.ownNames | uniq | join "," }}
{{- end }}

{{- define "worker.condaSecret" -}}
{{- default .Values.hypha.existingSecret .Values.condaWorker.secret }}
{{- end }}

{{- define "worker.condaToken" -}}
{{ include "worker.condaSecret" . }}/{{ default .Values.hypha.tokenKey .Values.condaWorker.tokenKey }}
{{- end }}

{{/* Options that are given only where there is a value, by the end of their variables' names. */}}
{{- define "worker.options" -}}
{{- $kubernetes := .Values.kubernetes -}}
{{- $given := dict
  "CLIENT_ID" .Values.hypha.clientId
  "AUTHORIZED_WORKSPACES" (join "," .Values.hypha.authorizedWorkspaces)
  "K8S_POD_SERVER_URL" .Values.hypha.podServerUrl
  "K8S_WORKER_ID" $kubernetes.workerId
  "K8S_MAX_TIMEOUT" $kubernetes.maxTimeout
  "K8S_START_TIMEOUT" $kubernetes.startTimeout
  "ORPHAN_TIMEOUT" $kubernetes.orphanTimeout
  "MAX_SESSIONS" $kubernetes.maxSessions
  "MAX_WORKSPACE_SESSIONS" $kubernetes.maxWorkspaceSessions
  "K8S_DEFAULT_REQUESTS" (include "worker.pairs" $kubernetes.defaultRequests)
  "K8S_DEFAULT_LIMITS" (include "worker.pairs" $kubernetes.defaultLimits)
  "K8S_MAX_RESOURCES" (include "worker.pairs" $kubernetes.maxResources)
  "K8S_IMAGE_PULL_SECRETS" (join "," $kubernetes.imagePullSecrets)
  "K8S_NODE_SELECTOR" (include "worker.pairs" $kubernetes.nodeSelector)
  "K8S_LABELS" (include "worker.pairs" $kubernetes.labels)
  "K8S_RUN_AS_NON_ROOT" $kubernetes.runAsNonRoot
  "K8S_TRUSTED_WORKSPACES" (join "," $kubernetes.trustedWorkspaces)
  "K8S_ALLOWED_SECRETS" (join "," .Values.allowed.secrets)
  "K8S_ALLOWED_CONFIG_MAPS" (join "," .Values.allowed.configMaps)
  "K8S_ALLOWED_CLAIMS" (join "," .Values.allowed.claims)
  "K8S_ALLOWED_SERVICE_ACCOUNTS" (join "," .Values.allowed.serviceAccounts)
  "K8S_ALLOW_PRIVILEGED" .Values.allowed.privileged
  "K8S_ALLOW_HOST_PATH" .Values.allowed.hostPath
  "K8S_ALLOW_HOST_NETWORK" .Values.allowed.hostNetwork
  "K8S_AGENT_LIMITS" (include "worker.pairs" .Values.claudeAgent.limits)
  "K8S_CONDA_LIMITS" (include "worker.pairs" .Values.condaWorker.limits)
  "VERBOSE" .Values.verbose
-}}
{{- range $name, $value := $given }}
{{- with $value }}
- name: HYPHA_{{ $name }}
  value: {{ include "worker.text" . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What cannot work is refused here, with what to do. */}}
{{- define "worker.check" -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.name is required without serviceAccount.create: with an account that others use, they could start jobs too" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.metrics.service.enabled) -}}
{{- fail "serviceMonitor needs metrics.service.enabled" -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if regexMatch "^(HYPHA|CONDA|HYPHA_CONDA)_TOKEN$" .name -}}
{{- fail (printf "extraEnv must not have %s: the token comes from the secret" .name) -}}
{{- end -}}
{{- end -}}
{{- end }}
