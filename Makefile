# What people run by hand and what CI runs are the same targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test check fmt fmt-check lint proto proto-release mutants engines bench bench-split bench-assert gen clean

CARGO ?= cargo
# Runs a command with the servers up that the suites share.
ENGINES = $(CARGO) run --locked --quiet -p viberchat-engines --
BUF := $(firstword $(wildcard tests/browser/node_modules/.bin/buf) $(shell command -v buf))

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: ## everything in one process on embedded storage, with the web client and people to talk to
	$(CARGO) run --locked -p viberchat-cli -- dev

test: ## all tests; says what it skips, and why
	$(ENGINES) $(CARGO) test --locked --workspace
	@bash tests/engines/sdk-test.sh

check: fmt-check lint proto test ## what CI runs: format, lints, protocol, tests

fmt: ## format the code
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all --check

lint: ## clippy, warnings are errors
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

proto: ## buf lint, and that nothing breaks those who use the last released protocol
	@if [ -n "$(BUF)" ]; then cd proto && $(abspath $(BUF)) lint && echo "buf lint: ok" && \
	  $(abspath $(BUF)) breaking --against released.txtpb && echo "buf breaking: ok"; \
	elif [ "$${VIBERCHAT_TEST_REQUIRE_ENGINES:-}" = 1 ]; then echo "buf is missing (make engines)" >&2; exit 1; \
	else echo "SKIPPED: buf lint and breaking, no buf (make engines)"; fi

proto-release: ## at a release: what others rely on from now on is the protocol of today
	cd proto && $(abspath $(BUF)) build --exclude-source-info -o released.txtpb

mutants: ## plant each known bug and see the checker find it
	VIBERCHAT_TEST_MUTANTS=1 $(ENGINES) $(CARGO) test --locked --workspace --test mutants -- --nocapture

engines: ## install what the tests can use: PostgreSQL, NATS, Cassandra, Chromium, Node.js, buf
	bash tests/engines/install.sh

bench: ## latency, throughput and memory, each beside its floor
	$(CARGO) run --locked --release -p viberchat-cli -- bench

bench-split: ## the same with each service in a process of its own, on PostgreSQL, Cassandra and NATS
	$(CARGO) build --locked --release -p viberchat-cli
	$(ENGINES) sh -c 'exec target/release/viberchat bench --postgres "$$VIBERCHAT_TEST_POSTGRES_URL" \
	  --cassandra "$$VIBERCHAT_TEST_CASSANDRA" --nats "$$VIBERCHAT_TEST_NATS_URL"'

bench-assert: ## the same, and fail when a figure is too far from its target
	$(CARGO) run --locked --release -p viberchat-cli -- bench --assert --json target/bench.json

gen: ## write the generated schemas and the reference in docs anew
	VIBERCHAT_GENERATE=1 $(CARGO) test --locked --workspace generated

clean:
	$(CARGO) clean
