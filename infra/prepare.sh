#!/usr/bin/env bash
# Fetches, once, what the local hubs and the workload are made of: Kafka's jars and the tweets.
# What can't be had is said, and the rest goes on.
set -uo pipefail
profile=$1
target=${CARGO_TARGET_DIR:-target}/$profile
# Tests need all programs; the benchmark needs itself alone.
flags=(--workspace --lib --bins --tests); [[ $profile == release ]] && flags=(--release -p anyhub-local -p anyhub-bench)
"${CARGO:-cargo}" build --locked "${flags[@]}" || exit 1
"$target/anyhub-local" prepare kafka >&2 || printf '%s\n' "Kafka can't be had here (see above); the other hubs still run" >&2
"$target/anyhub-bench" tweets fetch >&2 || printf '%s\n' "the real tweets can't be had here (see above); generated ones serve" >&2
exit 0
