#!/bin/sh
# Installs the Kubernetes worker with Helm, or upgrades it, after a look whether the cluster has what it needs.
#
#   ./deploy-worker.sh                      in the namespace hypha, with the values of the chart
#   ./deploy-worker.sh -n apps -f my-values.yaml --set hypha.workspace=my-workspace
#
# All options are those of `helm upgrade`. It needs helm (3.13 or newer) and kubectl, which is asked whether namespaces
# are there, and which keys the secret with the worker's token has. Where something is missing nothing is changed.
set -eu

RELEASE=hypha-k8s-worker
CHART=$(dirname "$0")/helm/hypha-k8s-worker

fail() {
  echo "Cannot deploy the worker: $1" >&2
  exit 1
}

warn() {
  echo "Warning: $1" >&2
}

# The options that kubectl needs as well; the last one counts, as for helm.
namespace=hypha
context=${HELM_KUBECONTEXT:-}
kubeconfig=
option=
for argument in "$@"; do
  case $option in
    -n | --namespace) namespace=$argument ;;
    --kube-context) context=$argument ;;
    --kubeconfig) kubeconfig=$argument ;;
  esac
  if [ -n "$option" ]; then
    option=
    continue
  fi
  case $argument in
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    -n | --namespace | --kube-context | --kubeconfig) option=$argument ;;
    --namespace=* | -n=*) namespace=${argument#*=} ;;
    -n*) namespace=${argument#-n} ;;
    --kube-context=*) context=${argument#*=} ;;
    --kubeconfig=*) kubeconfig=${argument#*=} ;;
  esac
done

command -v helm >/dev/null || fail "helm is not on PATH. See https://helm.sh/docs/intro/install"
command -v kubectl >/dev/null || fail "kubectl is not on PATH. See https://kubernetes.io/docs/tasks/tools"
[ -f "$CHART/Chart.yaml" ] || fail "there is no chart in $CHART; run the script where it lies in the repository"

complaint=$(mktemp)
trap 'rm -f "$complaint"' EXIT
trap 'exit 130' INT TERM

# What kubectl finds, in $found; nothing when it is not there. False when the user may not look.
look() {
  if found=$(kubectl ${context:+"--context=$context"} ${kubeconfig:+"--kubeconfig=$kubeconfig"} \
    --request-timeout=30s get "$@" --ignore-not-found 2>"$complaint"); then
    return 0
  fi
  if grep -q -i forbidden "$complaint"; then
    warn "not checked, as kubectl may not look: $(cat "$complaint")"
    return 1
  fi
  fail "kubectl get $1 $2: $(cat "$complaint")"
}

check_namespace() {
  look namespace "$1" --output=name || return 0
  [ -n "$found" ] || fail "there is no namespace $1. Make it with
  kubectl create namespace $1"
}

# Keys, and nothing of their values; an empty one is as good as none.
# shellcheck disable=SC2016 # the variables are the template's
KEYS='go-template={{"found\n"}}{{range $key, $value := .data}}{{if $value}}{{"key "}}{{$key}}{{"\n"}}{{end}}{{end}}'

check_secret() {
  look secret "$2" --namespace="$1" --output="$KEYS" || return 0
  [ -n "$found" ] || fail "there is no secret $2 in the namespace $1. Make it, with the token in a file, with
  kubectl create secret generic $2 --from-file=$3=token.txt -n $1"
  printf '%s\n' "$found" | grep -q -x -F "key $3" ||
    fail "the secret $2 in the namespace $1 has no token under the key $3; hypha.tokenKey says which key is taken"
}

check_namespace "$namespace"

# Helm itself says what comes of all values, wherever they are given; it refuses those that cannot work.
plan=$(helm upgrade --install "$RELEASE" "$CHART" --namespace "$namespace" "$@" --dry-run=client --output=table) ||
  fail "helm refuses, see above"

# The text behind a word in the plan, the first time behind a line with another one.
planned() {
  printf '%s\n' "$plan" | sed -n "/$1/,\$s/^ *$2 *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" | sed -n 1p
}
jobs=$(planned 'name: HYPHA_K8S_NAMESPACE$' 'value:')
secret=$(planned 'name: token$' 'secretName:')
key=$(planned "secretName: \"$secret\"\$" '- key:')

[ "$jobs" = "$namespace" ] || check_namespace "$jobs"
check_secret "$namespace" "$secret" "$key"

helm upgrade --install "$RELEASE" "$CHART" --namespace "$namespace" --wait "$@" && exit 0
code=$?
echo "helm could not deploy the worker, see above. What the worker says of itself:
  kubectl describe pod -n $namespace -l app.kubernetes.io/instance=$RELEASE
  kubectl logs -n $namespace -l app.kubernetes.io/instance=$RELEASE" >&2
exit "$code"
