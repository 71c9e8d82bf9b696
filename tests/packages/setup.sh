# shellcheck shell=bash
# Sourced by scripts/setup.sh, with its functions: what the tests of the packages use, all of it built from Go modules,
# whose sums Go checks. Without Go these tests are skipped, and say so.

HELM=helm.sh/helm/v4/cmd/helm@v4.3.1
ACTIONLINT=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
# The control plane is built without optimising, but for Go's own library: that takes a third less time, and it is
# fast enough.
KUBE_COMPILER="-N -l -dwarf=false"
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

# A real Kubernetes control plane in one program, and what the tests ask it about besides what it knows itself.
make_kube() {
  _source=$STACK/control_plane
  # Otherwise it says of itself that it is no version, and helm takes it for too old.
  _version=$(sed -n 's/.*k8s\.io\/kubernetes v\([0-9.]*\)$/\1/p' "$_source/go.mod")
  _minor=${_version#*.}
  _about=k8s.io/component-base/version
  _linker="-s -w -X $_about.gitVersion=v$_version -X $_about.gitMajor=${_version%%.*} -X $_about.gitMinor=${_minor%%.*}"
  # The files are named rather than the folder: its notes are not built.
  set -- kube "$MONITOR" "$_source"/go.* "$_source"/*.go "$_source"/kubelet/*.go "$KUBE_COMPILER" "$_linker"
  if fresh "$@" && [ -x "$TOOLS/kube/control-plane" ]; then return; fi
  prepare_go "the control plane is not built: the tests that need one are" || return 0
  say "kube: building a control plane; the first time this takes some minutes"
  mkdir -p "$TOOLS/kube"
  _directory=$(cd "$TOOLS/kube" && go mod download -json "$MONITOR" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  # Files of modules may not be written to, and copies would not be either.
  install -m 644 "$_directory/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml" "$TOOLS/kube/servicemonitors.yaml"
  (cd "$_source" && go build -gcflags=all="$KUBE_COMPILER" -gcflags=std= -ldflags "$_linker" -o "$TOOLS/kube/control-plane" .)
  stamp "$@"
  say "kube: $TOOLS/kube/control-plane"
}
