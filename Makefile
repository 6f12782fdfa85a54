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
	$(CARGO) build $(LOCKED) --workspace --all-targets
	@infra/prepare.sh debug
	$(CARGO) test $(LOCKED) --workspace --exclude anyhub-conformance --exclude anyhub-eventhubs --exclude anyhub-kafka --exclude anyhub-kinesis --exclude anyhub-local --exclude anyhub-pubsub
	$(CARGO) test $(LOCKED) -p anyhub --features eventhubs,kinesis,pubsub --test together
	$(CARGO) test $(LOCKED) -p anyhub-conformance --lib --bins --test keyed
	$(CARGO) test $(LOCKED) -p anyhub-eventhubs --lib --test access --test bad_input --test producer --test reader --test resource_manager
	$(CARGO) test $(LOCKED) -p anyhub-kafka --lib
	$(CARGO) test $(LOCKED) -p anyhub-kinesis --lib --test aggregate --test admin --test producer
	$(CARGO) test $(LOCKED) -p anyhub-local --lib --bins --test command --test eventhubs --test kafka --test kinesis --test pubsub
	$(CARGO) test $(LOCKED) -p anyhub-pubsub --lib --test bad_input --test faults --test groups --test standing --test usage
	$(CARGO) test $(LOCKED) -p anyhub-conformance -p anyhub-eventhubs -p anyhub-kafka -p anyhub-kinesis -p anyhub-local -p anyhub-pubsub --doc

mutants: setup ## prove that the trials can fail: every mutant of the memory hub is caught, 20 of 20 seeds
	$(CARGO) test $(LOCKED) -p anyhub-conformance --test mutants -- $(ONLY)

# On the server that each hub is tried on first.
here: setup
	@infra/prepare.sh debug
	$(CARGO) test $(LOCKED) -p anyhub-conformance --test memory --test portable --test sequenced --test unpartitioned -- $(ONLY)
	$(CARGO) test $(LOCKED) -p anyhub-kafka --test broker --test stopped --test conformance -- $(ONLY)
	$(CARGO) test $(LOCKED) -p anyhub-kinesis --test conformance --test variants -- $(ONLY)
	$(CARGO) test $(LOCKED) -p anyhub-eventhubs --test conformance -- $(ONLY)
	$(CARGO) test $(LOCKED) -p anyhub-pubsub --test conformance --test exactly_once -- $(ONLY)

conformance: here ## the contract on every hub and server, LocalStack and pstest too: make conformance ONLY=C3
	@infra/setup.sh node go
	$(CARGO) test $(LOCKED) -p anyhub-local --test localstack --test pstest -- $(ONLY)
	$(CARGO) test $(LOCKED) -p anyhub-kinesis --test localstack --test localstack_raw -- $(ONLY)
	$(CARGO) test $(LOCKED) -p anyhub-pubsub --test pstest --test pstest_more --test pstest_raw -- $(ONLY)

interop: setup ## 10,000 events each way with Amazon's, Microsoft's, Google's and PyPI's clients: make interop ONLY=pubsub
	@infra/setup.sh node go
	@infra/interop.sh $(ONLY)

contract: setup ## clause by hub by result, as a table
	@infra/setup.sh go
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
