#!/usr/bin/env bash
# Runs the contract on every hub and prints clause by hub by result.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
export ANYHUB_CONTRACT_OUT=$out
failed=0
cargo test --locked --workspace --no-fail-fast --test memory --test portable --test sequenced --test unpartitioned \
    --test conformance --test exactly_once --test localstack --test pstest >&2 || failed=1
cargo run --quiet --locked -p anyhub-conformance --bin contract-table -- "$out" || failed=1
exit "$failed"
