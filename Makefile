# Every target does its own set-up: what is missing is named, and installed where that can be done.
SHELL := /bin/bash
CARGO := cargo
LOCKED := --locked
# A run that starts from nothing gains nothing from incremental builds, and they are gigabytes.
ifdef CI
export CARGO_INCREMENTAL := 0
endif
# How many seeds of the lease simulation, or which one.
SEEDS ?= 100000
SEED ?=
# One trial or test by name: make conformance ONLY=C3
ONLY ?=

# Each test program is in one list, by its name in whatever crate. The whole workspace is named each
# time: a crate alone has other features, with which the SDKs would be built anew.
TEST := $(CARGO) test $(LOCKED) --workspace
UNIT := access admin aggregate bad_input cli command eventhubs faults groups kafka keyed kinesis \
	producer pubsub reader resource_manager simulation standing together usage
HERE := memory portable sequenced unpartitioned broker stopped conformance variants exactly_once
ELSEWHERE := localstack localstack_raw pstest pstest_more pstest_raw

.DEFAULT_GOAL := help
.PHONY: help bench test lint unit mutants here conformance interop contract simulate overhead overhead-eventhubs overhead-kinesis overhead-pubsub failover micro loom miri package examples new-hub setup

help: ## this list
	@echo "anyhub: one Producer/Consumer trait over four event hubs, and a benchmark that compares them"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'
	@echo
	@echo "A first build compiles OpenSSL and librdkafka: about 10 minutes on 2 cores; later ones take seconds."

bench: setup ## compare the hubs on this machine; the report is target/anyhub-bench/*/report.html
	@infra/prepare.sh release
	@$(CARGO) run --quiet --release $(LOCKED) -p anyhub-bench -- run

test: lint unit mutants here examples ## all checks: lint, tests, mutants, the contract on every hub's first server, examples

lint: setup ## formatting, clippy, rustdoc, the boundaries between crates, each feature alone
	@infra/lint.sh

unit: setup ## unit and integration tests, and the examples in the documentation
	@infra/prepare.sh debug
	$(TEST) --lib --bins $(addprefix --test ,$(UNIT))
	$(TEST) --doc

mutants: setup ## prove that the trials can fail: every mutant of the memory hub is caught, 20 of 20 seeds
	$(TEST) --test mutants -- $(ONLY)

# On the server that each hub is tried on first.
here: setup
	@infra/prepare.sh debug
	$(TEST) $(addprefix --test ,$(HERE)) -- $(ONLY)

conformance: here ## the contract on every hub and server, LocalStack and pstest too: make conformance ONLY=C3
	@infra/setup.sh node go
	$(TEST) $(addprefix --test ,$(ELSEWHERE)) -- $(ONLY)

interop: setup ## 10,000 events each way with Amazon's, Microsoft's, Google's and PyPI's clients: make interop ONLY=pubsub
	@infra/setup.sh node go
	@infra/interop.sh $(ONLY)

contract: setup ## clause by hub by result, as a table
	@infra/setup.sh node go
	@infra/contract.sh

simulate: setup ## leases under faults in virtual time: make simulate SEEDS=100000, or SEED=7 to replay one
	ANYHUB_SEEDS=$(SEEDS) ANYHUB_SEED=$(SEED) $(CARGO) test $(LOCKED) --release -p anyhub-leases --test simulation -- every_seed

overhead: setup ## the trait against raw rdkafka on one broker, in turns (about 25 minutes)
	@infra/prepare.sh release
	$(CARGO) bench $(LOCKED) -p anyhub-kafka --bench overhead

overhead-eventhubs: setup ## the trait against the raw Azure SDK on a local Event Hubs (about 20 minutes)
	$(CARGO) bench $(LOCKED) -p anyhub-eventhubs --bench overhead

overhead-kinesis: setup ## the trait against the raw AWS SDK on a local Kinesis, and the price of order (about 20 minutes)
	$(CARGO) bench $(LOCKED) -p anyhub-kinesis --bench overhead

overhead-pubsub: setup ## the trait against the raw Google SDK on a local Pub/Sub (about 20 minutes)
	$(CARGO) bench $(LOCKED) -p anyhub-pubsub --bench overhead

failover: setup ## kill the brokers of a real cluster in turn under load, ten times, and verify (6 minutes)
	@infra/prepare.sh release
	$(CARGO) bench $(LOCKED) -p anyhub-bench --bench failover

micro: setup ## microbenchmarks of core on the memory hub
	$(CARGO) bench $(LOCKED) -p anyhub-core

loom: ## Pending and Acks under every interleaving (loom)
	RUSTFLAGS="--cfg anyhub_loom" CARGO_TARGET_DIR=target/loom $(CARGO) test $(LOCKED) --release -p anyhub-core --lib model

miri: ## core under Miri; needs a nightly with the miri component
	MIRIFLAGS="-Zmiri-disable-isolation" CARGO_TARGET_DIR=target/miri PROPTEST_CASES=4 $(CARGO) +nightly miri test -p anyhub-core --lib

package: ## pack every crate as for crates.io
	$(CARGO) package --workspace --allow-dirty

examples: setup ## run every example on every hub
	@infra/prepare.sh debug
	@infra/examples.sh

new-hub: ## lay out a backend's six files, conformance red: make new-hub NAME=nats
	@infra/new-hub.sh "$(NAME)"

setup:
	@infra/setup.sh
