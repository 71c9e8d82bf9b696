{{/* The pod, which is the same in a Deployment and in a StatefulSet. */}}
{{- define "worker.pod" -}}
metadata:
  annotations:
    kubectl.kubernetes.io/default-container: worker
    {{- if not .Values.secret.existingSecret }}
    # A new token starts new pods.
    checksum/token: {{ .Values.secret.token | sha256sum | trunc 16 | quote }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "worker.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "worker.serviceAccountName" . }}
  # Sessions run the code of others: they must not find credentials of the cluster.
  automountServiceAccountToken: false
  # Variables of services would count as options: a service "hypha-metrics" as HYPHA_METRICS_PORT.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "worker.grace" . }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: worker
      image: {{ include "worker.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - start
        {{- with .Values.condaWorker.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      env:
        - name: HYPHA_SERVER_URL
          value: {{ .Values.condaWorker.serverUrl | quote }}
        - name: HYPHA_WORKSPACE
          value: {{ .Values.condaWorker.workspace | quote }}
        - name: HYPHA_TOKEN_FILE
          value: /run/secrets/hypha/token
        {{- with .Values.condaWorker.serviceId }}
        - name: HYPHA_SERVICE_ID
          value: {{ . | quote }}
        {{- end }}
        {{- with .Values.condaWorker.clientId }}
        - name: HYPHA_CLIENT_ID
          value: {{ . | quote }}
        {{- end }}
        - name: HYPHA_VISIBILITY
          value: {{ .Values.condaWorker.visibility | quote }}
        {{- with .Values.condaWorker.authorizedWorkspaces }}
        - name: HYPHA_AUTHORIZED_WORKSPACES
          value: {{ . | quote }}
        {{- end }}
        - name: HYPHA_WORKING_DIR
          value: {{ .Values.condaWorker.workingDir | quote }}
        - name: HYPHA_CACHE_DIR
          value: {{ .Values.condaWorker.cacheDir | quote }}
        - name: HYPHA_DRAIN_TIMEOUT
          value: {{ .Values.condaWorker.drainTimeout | quote }}
        - name: HYPHA_LOG_FORMAT
          value: {{ .Values.condaWorker.logFormat | quote }}
        - name: HYPHA_ISOLATION
          value: {{ .Values.condaWorker.isolation | quote }}
        {{- if .Values.condaWorker.verbose }}
        - name: HYPHA_VERBOSE
          value: "true"
        {{- end }}
        - name: HYPHA_METRICS_PORT
          value: {{ .Values.metrics.port | quote }}
        # Probes and Prometheus come from outside the container.
        - name: HYPHA_METRICS_HOST
          value: 0.0.0.0
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: metrics
          containerPort: {{ .Values.metrics.port }}
          protocol: TCP
      {{- with .Values.startupProbe }}
      startupProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.livenessProbe }}
      livenessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.readinessProbe }}
      readinessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: cache
          mountPath: {{ .Values.condaWorker.cacheDir | quote }}
        # Sockets and whatever else the worker keeps for itself, and the sessions.
        - name: work
          mountPath: /work
        {{- if not (hasPrefix "/work/" .Values.condaWorker.workingDir) }}
        - name: work
          mountPath: {{ .Values.condaWorker.workingDir | quote }}
          subPath: sessions
        {{- end }}
        - name: tmp
          mountPath: /tmp
          subPath: tmp
        - name: tmp
          mountPath: /var/tmp
          subPath: var-tmp
        - name: shm
          mountPath: /dev/shm
        - name: token
          mountPath: /run/secrets/hypha
          readOnly: true
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- if not .Values.persistence.enabled }}
    - name: cache
      emptyDir:
        sizeLimit: {{ .Values.cacheSizeLimit }}
    {{- else if not .Values.persistence.perReplica }}
    - name: cache
      persistentVolumeClaim:
        claimName: {{ include "worker.claimName" . }}
    {{- end }}
    - name: work
      emptyDir:
        sizeLimit: {{ .Values.workSizeLimit }}
    - name: tmp
      emptyDir:
        sizeLimit: {{ .Values.tmpSizeLimit }}
    - name: shm
      emptyDir:
        medium: Memory
        sizeLimit: {{ .Values.shmSizeLimit }}
    - name: token
      secret:
        secretName: {{ include "worker.secretName" . }}
        # Readable for the group of the pod, whatever its user is.
        defaultMode: 0440
        items:
          - key: {{ .Values.secret.key }}
            path: token
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
