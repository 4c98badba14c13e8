#!/usr/bin/env bash
# Checks the types of the JavaScript client and the web client and runs their tests with Node.js, or says that it could not.
set -euo pipefail
cd "$(dirname "$0")/../../services/gateway/web"
programs=$PWD/../../../tests/browser/node_modules/.bin
tsc=$programs/tsc

missing() {
  if [ "${VIBERCHAT_TEST_REQUIRE_ENGINES:-}" = 1 ]; then
    echo "$2 is missing (make engines)" >&2
    exit 1
  fi
  echo "SKIPPED: $1 of the JavaScript client, no $2 (make engines)"
}

# The types that an application in strict TypeScript gets: from the packed library, and from a folder of its modules.
check_consumer() {
  local work app
  work=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  app=$work/app
  mkdir -p "$work/sdk" "$app/node_modules/@viberchat/client" "$app/src/copied"
  cp sdk/*.js sdk/*.json sdk/README.md "$work/sdk/"
  (cd "$work/sdk" && PATH="$programs:$PATH" npm pack --silent --pack-destination "$work" >/dev/null)
  tar -xzf "$work"/*.tgz -C "$app/node_modules/@viberchat/client" --strip-components=1
  echo '{ "type": "module" }' >"$app/package.json"
  cp sdk/test/consumer.ts "$app/src/packed.ts"
  cp sdk/*.js "$app/src/copied/"
  sed "s#'@viberchat/client'#'./copied/viberchat.js'#; s#'@viberchat/client/#'./copied/#" sdk/test/consumer.ts >"$app/src/folder.ts"
  local options=(--noEmit --strict --target es2022 --lib es2023,dom,dom.iterable --types '')
  for modules in nodenext bundler; do
    local module=$modules
    [ "$modules" = bundler ] && module=esnext
    "$tsc" "${options[@]}" --module "$module" --moduleResolution "$modules" "$app/src/packed.ts"
    "$tsc" "${options[@]}" --allowJs --module "$module" --moduleResolution "$modules" "$app/src/folder.ts"
  done
  echo "types of the JavaScript client for an application in TypeScript: ok"
}

if ! command -v node >/dev/null; then
  missing "types and tests" Node.js
else
  if [ -x "$tsc" ]; then
    "$tsc" --noEmit -p sdk/tsconfig.json
    echo "types of the JavaScript client: ok"
    check_consumer
  else
    missing "types" TypeScript
  fi
  node --test sdk/test/*.test.js app/test/*.test.js
fi
