{{- define "worker.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Leaves room for "-metrics" and for the number of a StatefulSet's pod. */}}
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
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "worker.secretName" -}}
{{- default (printf "%s-token" (include "worker.fullname" .)) .Values.secret.existingSecret }}
{{- end }}

{{- define "worker.claimName" -}}
{{- default (printf "%s-cache" (include "worker.fullname" .)) .Values.persistence.existingClaim }}
{{- end }}

{{- define "worker.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/* The most workers there can be at once. */}}
{{- define "worker.most" -}}
{{- if .Values.autoscaling.enabled }}{{ int .Values.autoscaling.maxReplicas }}{{ else }}{{ int .Values.replicaCount }}{{ end }}
{{- end }}

{{/* "yes" when each worker has a volume of its own. */}}
{{- define "worker.perReplica" -}}
{{- if and .Values.persistence.enabled .Values.persistence.perReplica }}yes{{ end }}
{{- end }}

{{/* "yes" when one volume, which one node at a time can mount, is for all. */}}
{{- define "worker.single" -}}
{{- if and .Values.persistence.enabled (not .Values.persistence.perReplica) (not (has "ReadWriteMany" .Values.persistence.accessModes)) }}yes{{ end }}
{{- end }}

{{- define "worker.grace" -}}
{{- $least := add (ceil .Values.condaWorker.drainTimeout) 5 -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{ add $least 15 }}
{{- else -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $least) -}}
{{- fail (printf "terminationGracePeriodSeconds (%v) must be at least 5 more than condaWorker.drainTimeout (%v): pods would be killed while cells run" .Values.terminationGracePeriodSeconds .Values.condaWorker.drainTimeout) -}}
{{- end -}}
{{ int .Values.terminationGracePeriodSeconds }}
{{- end -}}
{{- end }}

{{/* What cannot work is refused here, with what to do. */}}
{{- define "worker.check" -}}
{{- $most := int (include "worker.most" .) -}}
{{- if not .Values.condaWorker.serverUrl -}}
{{- fail "condaWorker.serverUrl is required, for example https://hypha.aicell.io" -}}
{{- end -}}
{{- if not .Values.condaWorker.workspace -}}
{{- fail "condaWorker.workspace is required: the workspace the workers serve" -}}
{{- end -}}
{{- if and (not .Values.secret.existingSecret) (not .Values.secret.token) -}}
{{- fail "secret.existingSecret is required: the name of a secret that has the token (or secret.token, which is kept in the release's history)" -}}
{{- end -}}
{{- if and .Values.condaWorker.clientId (gt $most 1) -}}
{{- fail "condaWorker.clientId is for one worker: leave it empty with several, each gets one of its own" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.metrics) (not .Values.autoscaling.targetCPUUtilizationPercentage) (not .Values.autoscaling.targetMemoryUtilizationPercentage) -}}
{{- fail "autoscaling needs a target: targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage or metrics" -}}
{{- end -}}
{{- if and (include "worker.single" .) (gt $most 1) -}}
{{- fail (printf "%d workers cannot share a volume with accessModes %v: use ReadWriteMany, or persistence.perReplica, or persistence.enabled=false" $most .Values.persistence.accessModes) -}}
{{- end -}}
{{- if and (include "worker.perReplica" .) .Values.persistence.existingClaim -}}
{{- fail "persistence.existingClaim is one volume: leave it empty with persistence.perReplica" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.metrics.service.enabled) -}}
{{- fail "serviceMonitor needs metrics.service.enabled" -}}
{{- end -}}
{{- $min := .Values.podDisruptionBudget.minAvailable | toString -}}
{{- $max := .Values.podDisruptionBudget.maxUnavailable | toString -}}
{{- if and .Values.podDisruptionBudget.enabled (eq (empty $min) (empty $max)) -}}
{{- fail "podDisruptionBudget needs one of minAvailable and maxUnavailable: set the other to \"\"" -}}
{{- end -}}
{{- $cache := .Values.condaWorker.cacheDir | trimSuffix "/" -}}
{{- $work := .Values.condaWorker.workingDir | trimSuffix "/" -}}
{{- if or (eq $cache $work) (hasPrefix (print $cache "/") $work) (hasPrefix (print $work "/") $cache) -}}
{{- fail "condaWorker.cacheDir and condaWorker.workingDir must not be within one another" -}}
{{- end -}}
{{- range list "/" "/tmp" "/var" "/var/tmp" "/etc" "/usr" "/bin" "/dev" "/proc" "/sys" "/work" "/run" -}}
{{- if or (eq . $cache) (eq . $work) -}}
{{- fail (printf "condaWorker.cacheDir and condaWorker.workingDir must be directories of their own, not %s" .) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if or (regexMatch "^(HYPHA|CONDA|HYPHA_CONDA)_TOKEN$" .name) -}}
{{- fail (printf "extraEnv must not have %s: the token comes from the secret" .name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What a claim of the cache asks for. */}}
{{- define "worker.claim" -}}
accessModes:
  {{- toYaml .Values.persistence.accessModes | nindent 2 }}
{{- if eq .Values.persistence.storageClass "-" }}
storageClassName: ""
{{- else if .Values.persistence.storageClass }}
storageClassName: {{ .Values.persistence.storageClass | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .Values.persistence.size | quote }}
{{- end }}
