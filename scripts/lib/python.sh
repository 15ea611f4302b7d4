# Virtual environments. Sourced by scripts/with; needs $cache, $tree, say, fail.
#
# Two layers, so that several working trees share the large one: the dependencies, named by a hash of what setup.cfg
# asks for, and above them a thin environment for this tree, which holds the project itself (editable).

# python_fits PYTHON: new enough, can make environments, and as root: every other user may execute it.
python_fits() {
  "$1" - 2>/dev/null <<'EOF'
import ensurepip, os, pathlib, sys, venv
real = pathlib.Path(os.path.realpath(sys.executable))
ours = os.geteuid() != 0
open_to_all = all(path.stat().st_mode & 0o001 for path in [real, *real.parents, *pathlib.Path(sys.base_prefix).resolve().parents])
sys.exit(0 if sys.version_info >= (3, 11) and (ours or open_to_all) else 1)
EOF
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} /usr/bin/python3 /usr/local/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
    python=$(type -P "$candidate") && python_fits "$python" && return 0
  done
  return 1
}

base_python() {
  [ -n "${python:-}" ] && return
  find_python && return
  if may_install; then
    install_packages python3 python3-venv
    find_python && return
  fi
  fail "needs Python 3.11 or later with the module ensurepip$([ "$(id -u)" != 0 ] || echo ", readable by every user") (Debian: apt install python3-venv; or set PYTHON=/path/to/python3)"
}

# venv ENVIRONMENT: sets $venv to this tree's thin environment.
venv() {
  local name=$1 extras pins=() wanted key
  case $name in
    demo) extras=notebook ;;
    test) extras=test ;;
    check) extras="dev docs" ;;
    hub55) extras=test pins=("jupyterhub==5.5.*") ;;  # what Zero to JupyterHub ships
    *) fail "no such environment: $name" ;;
  esac
  base_python
  wanted=$("$python" "$tree/scripts/requirements.py" "$tree/setup.cfg" $extras; printf '%s\n' "setuptools>=77" ${pins[@]+"${pins[@]}"})
  key=$( (echo "$wanted"; "$python" -VV; "$python" -c 'import sys; print(sys.base_prefix)') | sha256sum | cut -c1-12)
  dependencies "$name" "$cache/python/$name-$key" "$wanted"
  thin "$name" "$cache/python/$name-$key"
}

dependencies() {
  local name=$1 folder=$2 wanted=$3
  if [ ! -f "$folder/.done" ]; then
    say "installs the Python packages of \"$name\" with $python (once, a minute or two)"
    rm -rf "$folder"
    mkdir -p "$cache/python"
    "$python" -m venv "$folder"
    echo "$wanted" > "$folder/requirements.txt"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$folder/requirements.txt" >&2 ||
      fail "pip could not install the packages in $folder/requirements.txt"
    touch "$folder/.done"
    # What no working tree has used for a month goes.
    find "$cache/python" -mindepth 2 -maxdepth 2 -name .done -mtime +30 -printf '%h\n' | xargs -r rm -rf
  fi
  touch "$folder/.done"
}

thin() {
  local name=$1 below=$2 mark
  venv=$cache/trees/$(echo "$tree" | sha256sum | cut -c1-12)/$name
  mark=$(cat "$tree/setup.cfg" "$tree/pyproject.toml" "$tree/scripts/lib/python.sh" <(echo "$below") | sha256sum)
  [ "$(cat "$venv/.done" 2>/dev/null)" = "$mark" ] && return
  say "puts the project itself into \"$name\""
  forget_lost_trees
  rm -rf "$venv"
  mkdir -p "$(dirname "$venv")"
  echo "$tree" > "$(dirname "$venv")/.tree"
  "$python" -m venv --without-pip "$venv"
  local packages
  packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo "import site; site.addsitedir('$("$below/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" > "$packages/_dependencies.pth"
  borrow_programs "$below" "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e "$tree" >&2 ||
    fail "the project could not be installed in $venv"
  echo "$mark" > "$venv/.done"
}

# borrow_programs BELOW VENV: the dependencies' programs and data again, on the thin environment's own interpreter.
borrow_programs() {
  local program target
  ln -s "$1/share" "$1/etc" "$2/"  # what programs look for under sys.prefix, as JupyterLab does
  for program in "$1"/bin/*; do
    target=$2/bin/$(basename "$program")
    [ -e "$target" ] && continue
    case $(head -c 200 "$program" | tr -d '\0' | head -n 1) in
      "#!$1/bin/python"*) sed "1s|.*|#!$2/bin/python|" "$program" > "$target"; chmod 755 "$target" ;;
      "#!/bin/sh"*) ;;  # activate scripts, or a path too long for a #! line: python -m reaches those
      *) [ -x "$program" ] && ln -s "$program" "$target" ;;
    esac
  done
}

forget_lost_trees() {
  local file
  for file in "$cache"/trees/*/.tree; do
    [ ! -f "$file" ] || [ -d "$(cat "$file")" ] || rm -rf "$(dirname "$file")"
  done
}
