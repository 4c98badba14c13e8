#!/usr/bin/env bash
# Checks the types of the JavaScript client and the web client and runs their tests with Node.js, or says that it could not.
set -euo pipefail
cd "$(dirname "$0")/../../services/gateway/web"
tsc=../../../tests/browser/node_modules/.bin/tsc

missing() {
  if [ "${VIBERCHAT_TEST_REQUIRE_ENGINES:-}" = 1 ]; then
    echo "$2 is missing (make engines)" >&2
    exit 1
  fi
  echo "SKIPPED: $1 of the JavaScript client, no $2 (make engines)"
}

if ! command -v node >/dev/null; then
  missing "types and tests" Node.js
else
  if [ -x "$tsc" ]; then "$tsc" --noEmit -p sdk/tsconfig.json && echo "types of the JavaScript client: ok"; else missing "types" TypeScript; fi
  node --test sdk/test/*.test.js app/test/*.test.js
fi
