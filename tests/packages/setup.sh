# shellcheck shell=bash
# Sourced by scripts/setup.sh, with its functions: what the tests of the packages use, all of it built from Go modules,
# whose sums Go checks. Without Go these tests are skipped, and say so.

HELM=helm.sh/helm/v4/cmd/helm@v4.3.1
ACTIONLINT=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
KUBERNETES_VERSION=v1.34.4
MONITOR=github.com/prometheus-operator/prometheus-operator@v0.85.0

# Go's own files stay in .tools/ as well, and can be removed like everything there.
prepare_go() {
  if ! command -v go >/dev/null; then
    say "packages: Go is not on PATH, so $1 SKIPPED"
    return 1
  fi
  export GOMODCACHE=${GOMODCACHE:-$TOOLS/cache/go/mod} GOCACHE=${GOCACHE:-$TOOLS/cache/go/build}
  export GOFLAGS="${GOFLAGS:-} -modcacherw" GOBIN=$TOOLS/packages/bin CGO_ENABLED=0
}

# helm and actionlint; and for `deno compile` a small program of each platform, which stands in for Deno's run-time.
make_packages() {
  set -- packages "$HELM" "$ACTIONLINT" "$ROOT/tests/packages/denort.go"
  if fresh "$@" && [ -x "$TOOLS/packages/bin/helm" ]; then return; fi
  prepare_go "helm and actionlint are not built: the tests of the chart and of the workflows are" || return 0
  say "packages: building helm and actionlint; the first time this takes some minutes"
  go install -ldflags "-s -w" "$HELM"
  go install -ldflags "-s -w" "$ACTIONLINT"
  mkdir -p "$TOOLS/packages/denort"
  for _target in linux/amd64=x86_64-unknown-linux-gnu linux/arm64=aarch64-unknown-linux-gnu \
    darwin/amd64=x86_64-apple-darwin darwin/arm64=aarch64-apple-darwin windows/amd64=x86_64-pc-windows-msvc.exe; do
    _platform=${_target%%=*}
    GOOS=${_platform%/*} GOARCH=${_platform#*/} go build -ldflags "-s -w" \
      -o "$TOOLS/packages/denort/denort-${_target#*=}" "$ROOT/tests/packages/denort.go"
  done
  stamp "$@"
  say "packages: $HELM, $ACTIONLINT"
}

# A real kube-apiserver with its etcd, which says whether it takes what the chart makes.
make_kube() {
  # The number counts the ways in which it was built: building takes long, and not every change here is a new way.
  set -- kube "$KUBERNETES_VERSION" "$MONITOR" 1
  if fresh "$@" && [ -x "$TOOLS/kube/kube-apiserver" ]; then return; fi
  prepare_go "kube-apiserver is not built: the tests that need one are" || return 0
  say "kube: building kube-apiserver and etcd; the first time this takes seven minutes and more"
  _source=$TOOLS/kube/source
  rm -rf "$_source"
  mkdir -p "$_source/etcd"
  _directory=$(cd "$_source" && go mod download -json "k8s.io/kubernetes@$KUBERNETES_VERSION" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  {
    sed 's/^module .*/module kube/; /=> \.\/staging\//d' "$_directory/go.mod"
    printf 'require k8s.io/kubernetes %s\n' "$KUBERNETES_VERSION"
    # Its own parts lie beside it in the repository, and are published under a version of their own.
    sed -n "s/^[[:space:]]*\(k8s.io\/[^ ]*\) => .\/staging\/.*/replace \1 => \1 v0.${KUBERNETES_VERSION#v1.}/p" "$_directory/go.mod"
  } >"$_source/go.mod"
  cat >"$_source/etcd/main.go" <<'GO'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
GO
  (
    cd "$_source" || exit 1
    go build -mod=mod -ldflags "-s -w" -o "$TOOLS/kube/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver
    go build -mod=mod -ldflags "-s -w" -o "$TOOLS/kube/etcd" ./etcd
  )
  _directory=$(cd "$_source" && go mod download -json "$MONITOR" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  # Files of modules may not be written to, and copies would not be either.
  install -m 644 "$_directory/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml" "$TOOLS/kube/servicemonitors.yaml"
  stamp "$@"
  say "kube: kube-apiserver $KUBERNETES_VERSION"
}
