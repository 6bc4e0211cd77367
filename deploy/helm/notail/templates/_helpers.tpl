{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* Names of what is made of it, and labels that Kubernetes makes of these, have 63 characters at most. */ -}}
{{- define "notail.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 46 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* component, root */ -}}
{{- define "notail.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "notail.labels" -}}
{{ include "notail.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* image, default: of its tag */ -}}
{{- define "notail.imageOf" -}}
{{- $tag := .image.tag | default .default -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ $tag }}{{ end -}}
{{- end -}}

{{- define "notail.image" -}}
{{- include "notail.imageOf" (dict "image" .Values.image "default" .Chart.AppVersion) -}}
{{- end -}}

{{- define "notail.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "notail.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "notail.source" -}}
{{- .Values.discovery.source | default (ternary "api" "none" .Values.rbac.create) -}}
{{- end -}}

{{- define "notail.priorityClass" -}}
{{- .Values.priorityClass.name | default (ternary (include "notail.fullname" .) "" .Values.priorityClass.create) -}}
{{- end -}}

{{- /* MiB of a size such as 512KiB, rounded up. */ -}}
{{- define "notail.mib" -}}
{{- $n := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[KMG]iB$" . -}}
{{- if eq $unit "GiB" }}{{ mul $n 1024 }}{{ else if eq $unit "MiB" }}{{ $n }}{{ else }}{{ div (add $n 1023) 1024 }}{{ end -}}
{{- end -}}

{{- define "notail.resources" -}}
{{- $ring := include "notail.mib" .Values.ringSize | int64 -}}
{{- $flight := include "notail.mib" .Values.inFlight | int64 -}}
{{- $request := printf "%dMi" (add 32 $ring) -}}
{{- $limit := printf "%dMi" (add 160 $ring $flight) -}}
{{- $computed := dict "requests" (dict "memory" $request) "limits" (dict "memory" $limit) -}}
{{- toYaml (mergeOverwrite $computed (deepCopy .Values.resources)) -}}
{{- end -}}

{{- define "notail.clients" -}}
{{- $c := .Values.client -}}
{{- if .Values.clients -}}
{{ toYaml .Values.clients }}
{{- else -}}
- url: {{ $c.url | default (ternary (printf "http://%s-loki:3100" (include "notail.fullname" .)) "http://loki-gateway" .Values.loki.enabled) | quote }}
  {{- with $c.tenant }}
  tenant_id: {{ . | quote }}
  {{- end }}
  {{- if and $c.auth.secret (eq $c.auth.type "basic") }}
  basic_auth:
    username_file: /etc/notail/auth/username
    password_file: /etc/notail/auth/password
  {{- else if $c.auth.secret }}
  bearer_token_file: /etc/notail/auth/token
  {{- end }}
  {{- if or $c.tls.caSecret $c.tls.caConfigMap $c.tls.secret $c.tls.insecureSkipVerify }}
  tls_config:
    {{- if or $c.tls.caSecret $c.tls.caConfigMap }}
    ca_file: /etc/notail/ca/ca.crt
    {{- end }}
    {{- if $c.tls.secret }}
    cert_file: /etc/notail/tls/tls.crt
    key_file: /etc/notail/tls/tls.key
    {{- end }}
    {{- if $c.tls.insecureSkipVerify }}
    insecure_skip_verify: true
    {{- end }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- /* What the agent and the events' watcher say alike. */ -}}
{{- define "notail.commonConfig" -}}
clients:
  {{- include "notail.clients" . | nindent 2 }}
{{- with .Values.cluster }}
external_labels:
  cluster: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "notail.agentConfig" -}}
{{- if or (dig "capture" "ring_size" "" .Values.config) (dig "limits" "memory" "" .Values.config) -}}
{{- fail "ringSize and inFlight say how large capture.ring_size and limits.memory are: the memory limit is made of them" -}}
{{- end -}}
{{- if dig "discovery" "kubernetes" "source" "" .Values.config -}}
{{- fail "discovery.source says what config's discovery.kubernetes.source is: the role is made for it" -}}
{{- end -}}
{{- if or (dig "server" "metrics_listen" "" .Values.config) (dig "server" "metrics_listen" "" .Values.events.config) -}}
{{- fail "metrics.address and metrics.port say what server.metrics_listen is: the probes ask there" -}}
{{- end -}}
{{ include "notail.commonConfig" . }}
host: ${NODE_NAME}
preset: kubernetes
capture:
  ring_size: {{ .Values.ringSize }}
limits:
  memory: {{ .Values.inFlight }}
spool:
  {{- if .Values.spool.enabled }}
  directory: /var/lib/notail/spool
  max_size: {{ .Values.spool.maxSize }}
  {{- else }}
  directory: "off"
  {{- end }}
discovery:
  docker:
    enabled: false
  kubernetes:
    source: {{ include "notail.source" . }}
    {{- if eq (include "notail.source" .) "kubelet" }}
    kubelet_url: {{ .Values.discovery.kubelet.url | default "https://${HOST_IP}:10250" | quote }}
    {{- if .Values.discovery.kubelet.insecureSkipVerify }}
    kubelet_tls_config:
      insecure_skip_verify: true
    {{- end }}
    {{- end }}
    {{- with .Values.discovery.namespaces }}
    {{- if or .include .exclude }}
    namespaces:
      include: {{ toJson .include }}
      exclude: {{ toJson .exclude }}
    {{- end }}
    {{- end }}
server:
  metrics_listen: {{ printf "%s:%v" .Values.metrics.address .Values.metrics.port | quote }}
{{- end -}}

{{- /* The events' watcher has a network of its own, whatever the agents' address is. */ -}}
{{- define "notail.eventsConfig" -}}
{{ include "notail.commonConfig" . }}
events:
  {{- with .Values.events.namespaces }}
  namespaces: {{ toJson . }}
  {{- end }}
  lease:
    enabled: true
    name: {{ include "notail.fullname" . }}-events
limits:
  memory: 16MiB
spool:
  directory: "off"
server:
  metrics_listen: {{ printf "%s:%v" (ternary .Values.metrics.address "0.0.0.0" (eq (include "notail.probed" .) "")) .Values.metrics.port | quote }}
{{- end -}}

{{- /* Volumes of what a client reads. */ -}}
{{- define "notail.clientVolumes" -}}
{{- with .Values.client }}
{{- if .auth.secret }}
- name: auth
  secret:
    secretName: {{ .auth.secret | quote }}
{{- end }}
{{- if .tls.caSecret }}
- name: ca
  secret:
    secretName: {{ .tls.caSecret | quote }}
{{- else if .tls.caConfigMap }}
- name: ca
  configMap:
    name: {{ .tls.caConfigMap | quote }}
{{- end }}
{{- if .tls.secret }}
- name: tls
  secret:
    secretName: {{ .tls.secret | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "notail.clientMounts" -}}
{{- with .Values.client }}
{{- if .auth.secret }}
- name: auth
  mountPath: /etc/notail/auth
  readOnly: true
{{- end }}
{{- if or .tls.caSecret .tls.caConfigMap }}
- name: ca
  mountPath: /etc/notail/ca
  readOnly: true
{{- end }}
{{- if .tls.secret }}
- name: tls
  mountPath: /etc/notail/tls
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{- /* root, seccomp: Localhost, RuntimeDefault, Unconfined. With SYS_ADMIN Kubernetes wants allowPrivilegeEscalation
       unsaid; notail sets no_new_privs itself. */ -}}
{{- define "notail.securityContext" -}}
{{- if .root.Values.hardened -}}
privileged: false
readOnlyRootFilesystem: true
runAsUser: 0
runAsNonRoot: false
capabilities:
  drop: [ALL]
  add: {{ toJson .root.Values.hardening.capabilities }}
seccompProfile:
  type: {{ .seccomp | quote }}
  {{- if eq .seccomp "Localhost" }}
  localhostProfile: {{ include "notail.seccompFile" .root }}
  {{- end }}
{{- if semverCompare ">=1.30-0" .root.Capabilities.KubeVersion.Version }}
appArmorProfile:
  type: Unconfined
{{- end }}
{{- with .root.Values.hardening.seLinuxType | default (ternary "spc_t" "" .root.Values.openshift.enabled) }}
seLinuxOptions:
  type: {{ . | quote }}
{{- end }}
{{- else -}}
privileged: true
readOnlyRootFilesystem: true
runAsUser: 0
runAsNonRoot: false
{{- end -}}
{{- end -}}

{{- /* Below hardening.seccompHostPath. Named by what is in it: a node may have pods of two versions. */ -}}
{{- define "notail.seccompFile" -}}
notail-{{ .Files.Get "files/seccomp.json" | sha256sum | trunc 12 }}.json
{{- end -}}

{{- /* Before 1.30 an annotation says what appArmorProfile does. container, root */ -}}
{{- define "notail.appArmorAnnotation" -}}
{{- if and .root.Values.hardened (semverCompare "<1.30-0" .root.Capabilities.KubeVersion.Version) }}
container.apparmor.security.beta.kubernetes.io/{{ .container }}: unconfined
{{- end }}
{{- end -}}

{{- /* How Prometheus asks. Series of containers have namespace, pod and container of their own. */ -}}
{{- define "notail.endpoint" -}}
port: metrics
interval: {{ .interval }}
honorLabels: true
relabelings:
  - sourceLabels: [__meta_kubernetes_pod_node_name]
    targetLabel: node
{{- end -}}

{{- define "notail.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* The address that probes ask; "": the pod's. */ -}}
{{- define "notail.probed" -}}
{{- if not (has .Values.metrics.address (list "0.0.0.0" "[::]")) -}}
{{- if not .Values.hostNetwork -}}
{{- fail "metrics.address is one that the kubelet cannot ask: without hostNetwork it takes 0.0.0.0 or [::]" -}}
{{- end -}}
{{- trimAll "[]" .Values.metrics.address -}}
{{- end -}}
{{- end -}}

{{- /* config: settings of notail.yaml, host: who is asked, "": the pod */ -}}
{{- define "notail.probes" -}}
{{- $how := dict "port" "metrics" -}}
{{- with .host }}{{ $_ := set $how "host" . }}{{ end -}}
{{- if dig "server" "http_tls_config" "" .config }}{{ $_ := set $how "scheme" "HTTPS" }}{{ end -}}
startupProbe:
  httpGet:
    path: /healthz
    {{- toYaml $how | nindent 4 }}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /healthz
    {{- toYaml $how | nindent 4 }}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 8
readinessProbe:
  httpGet:
    path: /ready
    {{- toYaml $how | nindent 4 }}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end -}}
