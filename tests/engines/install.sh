#!/usr/bin/env bash
# Installs by the platform's package managers what the tests can use: Chromium, Node.js, and from npm playwright-core and buf.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_packages() {
  if command -v apt-get >/dev/null; then
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  elif command -v dnf >/dev/null; then
    as_root dnf install -y -q "$@"
  elif command -v brew >/dev/null; then
    brew install -q "${@/chromium/--cask chromium}"
  else
    echo "no package manager known here: install $* by hand" >&2
    return 1
  fi
}

wanted=()
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || wanted+=(chromium)
command -v node >/dev/null || wanted+=(nodejs)
command -v npm >/dev/null || wanted+=(npm)
if [ "${#wanted[@]}" -gt 0 ]; then install_packages "${wanted[@]}"; fi

(cd browser && npm install --no-audit --no-fund --no-save --loglevel=error)
echo "engines: $(command -v chromium || command -v chromium-browser || command -v google-chrome), node $(node --version), buf $(browser/node_modules/.bin/buf --version)"
