#!/usr/bin/env bash
# Runs the tests of the JavaScript client with Node.js, or says that it could not.
set -euo pipefail
cd "$(dirname "$0")/../../services/gateway/web/sdk"

if command -v node >/dev/null; then
  node --test
elif [ "${VIBERCHAT_TEST_REQUIRE_ENGINES:-}" = 1 ]; then
  echo "Node.js is missing (make engines)" >&2
  exit 1
else
  echo "SKIPPED: tests of the JavaScript client, no Node.js (make engines)"
fi
