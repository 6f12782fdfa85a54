#!/usr/bin/env bash
# Runs every example, on the memory hub and on a Kafka, a Kinesis, an Event Hubs and a Pub/Sub of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}/debug
# All that the tests have built by now: fewer crates have other features, and build the SDKs anew.
cargo build --locked --quiet --workspace --lib --bins --tests

run() { # example, what its output must have, arguments
    local out
    out=$("$target/$1" "${@:3}" 2>&1) || { printf '%s\n' "$out"; printf 'example %s failed\n' "$1" >&2; exit 1; }
    grep -q "$2" <<<"$out" || { printf '%s\n' "$out"; printf 'example %s did not say: %s\n' "$1" "$2" >&2; exit 1; }
    printf 'example %s %s: ok\n' "$1" "${3:-}"
}

passed=0
on() { # the URL up to the topic, and behind it
    run publish '^published' "${1}publish${2:-}"
    run consume 'tweet 9' "${1}consume${2:-}" 10
    run replay 'read [0-9]* events twice' "${1}replay${2:-}"
    passed=$((passed + 3))
}

work=$(mktemp -d)
server=
stop() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
trap 'stop; rm -rf "$work"' EXIT
mkfifo "$work/url"

on_server() { # the hub's name, options of the server
    local url base options
    "$target/anyhub-local" up "$@" >"$work/url" &
    server=$!
    if ! read -r url <"$work/url" || [ -z "$url" ]; then
        printf 'SKIPPED: the examples on %s, which could not be started (see above)\n' "$1" >&2
        [ "${CI:-}" != true ] || exit 1
        return
    fi
    base=${url%%\?*} options=${url#"${url%%\?*}"}
    # There the first event hub's URL is told.
    [ "$1" != eventhubs ] || base=${base%/*}
    base=$base/
    # consume needs something to read: the memory hub publishes for itself, here we do.
    "$target/publish" "${base}consume$options" >/dev/null
    "$target/publish" "${base}replay$options" >/dev/null
    on "$base" "$options"
    stop
}

on memory:/
on_server kafka
on_server kinesis
# AMQP makes no event hubs and no consumer groups.
on_server eventhubs --event-hub publish=3 --event-hub consume=3 --event-hub replay=3 --group demo
on_server pubsub
printf 'examples: %s passed, 0 failed\n' "$passed"
