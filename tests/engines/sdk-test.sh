#!/usr/bin/env bash
# Runs the tests of the JavaScript client and the web client with Node.js, or says that it could not.
set -euo pipefail
cd "$(dirname "$0")/../../services/gateway/web"

if command -v node >/dev/null; then
  node --test sdk/test/*.test.js app/test/*.test.js
elif [ "${VIBERCHAT_TEST_REQUIRE_ENGINES:-}" = 1 ]; then
  echo "Node.js is missing (make engines)" >&2
  exit 1
else
  echo "SKIPPED: tests of the JavaScript client, no Node.js (make engines)"
fi
