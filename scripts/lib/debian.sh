# Debian packages. Sourced by scripts/with; needs $cache, say.
#
# Only root installs. No service of the machine is started, changed or set up: these are programs for our own use, with
# data folders and ports of their own.

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# install_packages PACKAGE...
install_packages() {
  say "installs $* (apt)"
  if [ ! -f "$cache/apt-updated" ] || [ -n "$(find "$cache/apt-updated" -mmin +1440)" ]; then
    apt-get update -qq >&2 && touch "$cache/apt-updated"
  fi
  without_services apt_install "$@" || { rm -f "$cache/apt-updated"; return 1; }
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@" >"$cache/apt.log" 2>&1 || { tail -n 5 "$cache/apt.log" >&2; return 1; }
}

# without_services COMMAND...: while it runs, packages may not start their services (Debian's policy-rc.d).
POLICY=/usr/sbin/policy-rc.d

without_services() {
  local status=0
  services_forbidden || {
    forbidden_by_us=yes
    trap services_as_before EXIT
    [ ! -e $POLICY ] || mv $POLICY $POLICY.gpuqueue-aside
    printf '#!/bin/sh\nexit 101\n' > $POLICY
    chmod 755 $POLICY
  }
  "$@" || status=$?
  services_as_before
  trap - EXIT
  return $status
}

services_forbidden() {
  local status=0
  [ -x $POLICY ] || return 1
  $POLICY slapd start >/dev/null 2>&1 || status=$?
  [ $status -eq 101 ]
}

services_as_before() {
  [ -n "${forbidden_by_us:-}" ] || return 0
  forbidden_by_us=
  rm -f $POLICY
  [ ! -e $POLICY.gpuqueue-aside ] || mv $POLICY.gpuqueue-aside $POLICY
}

# package PROGRAM-TEST PACKAGES: true where the test passes, before or after installing; else $missing says what to do.
package() {
  local present=$1; shift
  $present && return 0
  missing="needs $* (as root: apt install $*)"
  may_install || return 1
  install_packages "$@" && $present
}

need_slapd() {
  # Its package would set up a directory of the machine's own, and start it with the machine.
  has_slapd || ! may_install || echo "slapd slapd/no_configuration boolean true" | debconf-set-selections
  package has_slapd slapd ldap-utils
}
has_slapd() { [ -x /usr/sbin/slapd ] && command -v ldapsearch >/dev/null; }

need_postgresql() {
  has_postgresql && return 0
  missing="needs postgresql (as root: apt install postgresql)"
  may_install || return 1
  # Its package makes and starts a cluster unless told not to; the setting is put back afterwards.
  local setting=/etc/postgresql-common/createcluster.conf
  install_packages postgresql-common || return 1
  cp -p $setting "$cache/createcluster.conf"
  echo "create_main_cluster = false" >> $setting
  install_packages postgresql || { cp -p "$cache/createcluster.conf" $setting; return 1; }
  cp -p "$cache/createcluster.conf" $setting
  has_postgresql
}
has_postgresql() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

# Only the programs: the package mariadb-server around them would set up a server of the machine's own.
need_mariadb() { package has_mariadb mariadb-server-core mariadb-client-core; }
has_mariadb() { [ -x /usr/sbin/mariadbd ] && [ -x /usr/bin/mariadb-install-db ] && [ -x /usr/bin/my_print_defaults ]; }

need_chromium() { package has_chromium chromium; }
has_chromium() { command -v chromium >/dev/null || command -v google-chrome >/dev/null; }

need_compiler() { package has_compiler gcc libc6-dev; }
has_compiler() { command -v cc >/dev/null && [ -e /usr/include/stdio.h ]; }
