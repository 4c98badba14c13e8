#!/usr/bin/env bash
# Installs by the platform's package managers what the tests can use: Chromium, Node.js, PostgreSQL, Go, Java and
# Maven; then playwright-core and buf from npm, the NATS server as a Go module, and Cassandra's jars from Maven.
set -euo pipefail
cd "$(dirname "$0")/.."

NATS_VERSION=2.15.2

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

# The package's name with apt, dnf and brew.
name_here() { if command -v apt-get >/dev/null; then echo "$1"; elif command -v dnf >/dev/null; then echo "$2"; else echo "$3"; fi; }

has_postgres() {
  command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
    compgen -G '/opt/homebrew/opt/postgresql*/bin/initdb' >/dev/null
}

# Cassandra 5 runs on Java 17 or 11.
has_java() {
  compgen -G '/usr/lib/jvm/*17*/bin/java' >/dev/null || compgen -G '/opt/homebrew/opt/openjdk@17/bin/java' >/dev/null ||
    { command -v java >/dev/null && java -version 2>&1 | grep -q 'version "17'; }
}

wanted=()
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || wanted+=(chromium)
command -v node >/dev/null || wanted+=(nodejs)
command -v npm >/dev/null || wanted+=(npm)
command -v go >/dev/null || wanted+=("$(name_here golang-go golang go)")
has_java || wanted+=("$(name_here openjdk-17-jre-headless java-17-openjdk-headless openjdk@17)")
command -v mvn >/dev/null || wanted+=(maven)
has_postgres || wanted+=("$(name_here postgresql postgresql-server postgresql@17)")
if [ "${#wanted[@]}" -gt 0 ]; then install_packages "${wanted[@]}"; fi

(cd browser && npm install --no-audit --no-fund --no-save --loglevel=error)
[ -x "engines/bin/nats-server" ] || GOBIN="$PWD/engines/bin" go install "github.com/nats-io/nats-server/v2@v$NATS_VERSION"

compgen -G 'engines/cassandra/lib/cassandra-all-*.jar' >/dev/null ||
  (cd engines/cassandra && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib)

echo "engines: $(command -v chromium || command -v chromium-browser || command -v google-chrome), node $(node --version), buf $(browser/node_modules/.bin/buf --version), $(engines/bin/nats-server --version), PostgreSQL, Cassandra"
