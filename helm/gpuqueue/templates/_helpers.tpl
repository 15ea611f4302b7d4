{{- define "gpuqueue.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains "gpuqueue" .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-gpuqueue" (.Release.Name | trunc 31 | trimSuffix "-") }}
{{- end -}}
{{- end -}}

{{/* Labels by which a component's pods are found: (list $ "manager"). They never change. */}}
{{- define "gpuqueue.selector" -}}
app.kubernetes.io/name: gpuqueue
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "gpuqueue.labels" -}}
{{ include "gpuqueue.selector" . }}
app.kubernetes.io/part-of: gpuqueue
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end -}}

{{/* image and imagePullPolicy of a container: (list $ "manager"). */}}
{{- define "gpuqueue.image" -}}
{{- $image := index (index . 0).Values.images (index . 1) -}}
image: {{ printf "%s:%s" $image.name ($image.tag | default (index . 0).Chart.AppVersion) | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- end -}}

{{- define "gpuqueue.imagePullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What the administrator says of where a component runs: (list $ "manager"). */}}
{{- define "gpuqueue.placement" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- with $values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "gpuqueue.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.securityContext.runAsUser }}
runAsUser: {{ . }}
{{- end }}
{{- with .Values.securityContext.fsGroup }}
fsGroup: {{ . }}
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "gpuqueue.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "gpuqueue.secret" -}}
{{ .Values.secrets.existingSecret | default (include "gpuqueue.fullname" .) }}
{{- end -}}

{{- define "gpuqueue.replicas" -}}
{{- if kindIs "invalid" .Values.manager.replicas -}}
{{ ternary 2 1 (eq .Values.database.kind "external") }}
{{- else -}}
{{ .Values.manager.replicas }}
{{- end -}}
{{- end -}}

{{- define "gpuqueue.managerUrl" -}}
http://{{ include "gpuqueue.fullname" . }}-manager.{{ .Release.Namespace }}:8083
{{- end -}}

{{- define "gpuqueue.hubUrl" -}}
{{- if .Values.hub.enabled -}}
http://{{ include "gpuqueue.fullname" . }}-hub.{{ .Release.Namespace }}:8081
{{- else -}}
{{ .Values.hub.external.url | trimSuffix "/" }}
{{- end -}}
{{- end -}}

{{- define "gpuqueue.notebooks" -}}
{{ .Values.notebooks.namespace.name | default (printf "%s-notebooks" (include "gpuqueue.fullname" .)) }}
{{- end -}}

{{- define "gpuqueue.homes" -}}
{{ .Values.homes.namespace.name | default (printf "%s-homes" (include "gpuqueue.fullname" .)) }}
{{- end -}}

{{- define "gpuqueue.homesUrl" -}}
{{- if .Values.homes.enabled -}}
http://{{ include "gpuqueue.fullname" . }}-homes.{{ include "gpuqueue.homes" . }}:8085
{{- else -}}
{{ .Values.storage.homesUrl }}
{{- end -}}
{{- end -}}

{{/* The share's claim in the notebooks' namespace; empty: each person has one, and there is no data for all. */}}
{{- define "gpuqueue.shareClaim" -}}
{{- if or .Values.storage.claim (not .Values.homes.volumes) .Values.storage.dataSets -}}
{{ .Values.storage.claim | default (printf "%s-share" (include "gpuqueue.fullname" .)) }}
{{- end -}}
{{- end -}}

{{/* The share's server as it stands before a colon. */}}
{{- define "gpuqueue.homesServer" -}}
{{- $server := .Values.storage.nfs.server -}}
{{ ternary (printf "[%s]" $server) $server (contains ":" $server) }}
{{- end -}}

{{/* Where people's folders are on the share's server, with the slash that a person's name follows. */}}
{{- define "gpuqueue.homesPath" -}}
{{- $folder := .Values.storage.homesFolder | trimAll "/" -}}
{{ .Values.storage.nfs.path | trimSuffix "/" }}/{{ with $folder }}{{ . }}/{{ end }}
{{- end -}}

{{/* The database's URL, as the manager and the migration read it. */}}
{{- define "gpuqueue.databaseEnv" -}}
{{- if eq .Values.database.kind "external" -}}
- name: GPUQUEUE_DB_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.database.existingSecret }}, key: {{ .Values.database.key }}}
{{- end -}}
{{- end -}}

{{/* A claim: (list $ "hub" $volume). Kept by uninstall: it holds what people have done. */}}
{{- define "gpuqueue.claim" -}}
{{- $volume := index . 2 -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "gpuqueue.fullname" (index . 0) }}-{{ index . 1 }}
  labels: {{- include "gpuqueue.labels" . | nindent 4 }}
  annotations: {helm.sh/resource-policy: keep}
spec:
  accessModes: [ReadWriteOnce]
  {{- with $volume.storageClassName }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources: {requests: {storage: {{ $volume.size }}}}
{{- end -}}

{{/* Peers of a NetworkPolicy by address: nothing listed is anywhere. */}}
{{- define "gpuqueue.cidrs" -}}
{{- range . }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- end -}}

{{- define "gpuqueue.dnsRule" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end -}}

{{/* Egress to addresses: (dict "ports" ... "cidrs" ...). */}}
{{- define "gpuqueue.addressRule" -}}
- ports:
    {{- range .ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .cidrs }}
  to: {{- include "gpuqueue.cidrs" . | nindent 4 }}
  {{- end }}
{{- end -}}
