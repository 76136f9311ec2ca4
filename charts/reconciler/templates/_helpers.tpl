{{- define "reconciler.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "reconciler.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "reconciler.labels" -}}
{{ include "reconciler.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "reconciler.metadata" -}}
name: {{ include "reconciler.name" . }}
namespace: {{ .Release.Namespace }}
labels: {{- include "reconciler.labels" . | nindent 2 }}
{{- end -}}

{{- define "reconciler.account" -}}
{{- .Values.serviceAccount.name | default (ternary (include "reconciler.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* The settings as the daemon reads them: its own namespace is the release's. */}}
{{- define "reconciler.config" -}}
{{- $kubernetes := .Values.config.kubernetes | default dict -}}
{{- if not (has $kubernetes.namespace (list nil .Release.Namespace)) -}}
{{- fail "config.kubernetes.namespace: it is the release's namespace; leave it out" -}}
{{- end -}}
{{- $own := merge (dict "namespace" .Release.Namespace) $kubernetes -}}
{{- merge (dict "kubernetes" $own) .Values.config | toYaml -}}
{{- end -}}

{{- define "reconciler.port" -}}
{{- dig "web" "port" 8080 .Values.config | int -}}
{{- end -}}

{{/* Rules of the table for this mode and engine; the argument is a list of the root and `where`. */}}
{{- define "reconciler.rules" -}}
{{- $root := index . 0 -}}
{{- $where := index . 1 -}}
{{- range ($root.Files.Get "rights.yaml" | fromYaml).rights }}
{{- if and (eq .where $where) (has $root.Values.config.mode .modes) (has $root.Values.config.engine .engines) }}
- apiGroups: [{{ .group | quote }}]
  resources: [{{ .resource }}]
  verbs: {{ .verbs | toJson }}
  {{- with .names }}
  resourceNames: {{ . | toJson }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "reconciler.subjects" -}}
- kind: ServiceAccount
  name: {{ include "reconciler.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* A Role in a namespace and its binding to the daemon; the argument is a list of the root, namespace, name, rules. */}}
{{- define "reconciler.role" -}}
{{- $root := index . 0 }}
{{- $metadata := printf "name: %s\nnamespace: %s" (index . 2) (index . 1) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- $metadata | nindent 2 }}
  labels: {{- include "reconciler.labels" $root | nindent 4 }}
rules: {{- index . 3 | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- $metadata | nindent 2 }}
  labels: {{- include "reconciler.labels" $root | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ index . 2 }}}
subjects: {{- include "reconciler.subjects" $root | nindent 2 }}
{{- end -}}
