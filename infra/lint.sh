#!/usr/bin/env bash
# Formatting, clippy, rustdoc, and what may depend on what.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'lint: %s\n' "$*" >&2; exit 1; }
step() { printf 'lint: %s\n' "$*" >&2; }

step "formatting"
cargo fmt --all --check

step "clippy"
cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

step "rustdoc"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --all-features --quiet

step "boundaries"
# Everything that a crate is built from, with all features on.
tree() { cargo tree --locked --offline -p "$1" -e normal --all-features --prefix none --format '{p}' "${@:2}" | awk '{print $1}' | sort -u; }
SDKS='^(rdkafka|rdkafka-sys|aws-sdk-kinesis|azure_core_amqp|azure_messaging_eventhubs|google-cloud-pubsub)$'
# What no crate that people depend on may bring.
HARNESS='local|bench|members|footprint|interop|overhead|conformance'
refuse() { # crate, pattern, why, further arguments of cargo tree
    local found
    found=$(tree "$1" "${@:4}" | grep -vx "$1" | grep -E "$2" || true)
    [ -z "$found" ] || fail "$1 depends on $(echo $found): $3"
}
refuse anyhub-core "^anyhub|$SDKS" "core knows no backend and no SDK"
refuse anyhub-conformance "$SDKS|^anyhub-($HARNESS|eventhubs|kafka|kinesis|pubsub)$" "the suite sees hubs only through the traits"
refuse anyhub-leases "^anyhub-($HARNESS|groups|eventhubs|kafka|kinesis|pubsub)$|$SDKS" "the leases know core alone"
refuse anyhub-groups "^anyhub-($HARNESS|eventhubs|kafka|kinesis|pubsub)$|$SDKS" "the groups know core and the leases alone"
refuse anyhub-kafka "^anyhub-($HARNESS|groups|leases|eventhubs|kinesis|pubsub)$" "a backend depends on core alone"
refuse anyhub-pubsub "^anyhub-($HARNESS|groups|leases|eventhubs|kafka|kinesis)$" "a backend depends on core alone"
refuse anyhub-kinesis "^anyhub-($HARNESS|eventhubs|kafka|pubsub)$" "a backend depends on core, the leases and the groups alone"
refuse anyhub-eventhubs "^anyhub-($HARNESS|kafka|kinesis|pubsub)$" "a backend depends on core, the leases and the groups alone"
refuse anyhub "^anyhub-($HARNESS)$" "what people depend on brings no servers and no harness"
refuse anyhub-local "^anyhub|$SDKS" "the local hubs depend on no other crate of the workspace"
refuse anyhub-members "$SDKS|^anyhub(-($HARNESS|groups|leases|eventhubs|kafka|kinesis|pubsub))?$" "the members of a group see hubs only through the traits"
refuse anyhub-footprint "$SDKS|^anyhub(-($HARNESS|groups|leases|eventhubs|kafka|kinesis|pubsub))?$" "what memory does is seen through the traits"
refuse anyhub-interop "$SDKS|^anyhub(-($HARNESS|groups|leases|eventhubs|kafka|kinesis|pubsub))?$" "what is traded with other people's clients is so for any hub"
refuse anyhub-overhead "$SDKS|^anyhub(-($HARNESS|groups|leases|eventhubs|kafka|kinesis|pubsub))?$" "the overhead of a backend is measured through the traits"
refuse anyhub-bench "$SDKS" "the harness sees hubs only through the traits" --depth 1
[ -z "$(tree anyhub-core | grep -E '^(openssl-sys|rustls|reqwest|hyper)$' || true)" ] || fail "core grew heavy"
for crate in anyhub anyhub-bench anyhub-local; do
    refuse "$crate" '^ring$' "one provider of TLS is in the tree, aws-lc-rs: rustls panics between two"
done

# The Makefile names each test program, so that conformance is run once; none may be forgotten.
step "tests: each is run"
named=" $(sed -nE '/^(UNIT|HERE|ELSEWHERE) :=/,/[^\\]$/p' Makefile | tr -c 'a-z_' ' ') mutants "
for test in */tests/*.rs */*/tests/*.rs */tests/*/main.rs */*/tests/*/main.rs; do
    [ -e "$test" ] || continue
    name=${test##*/tests/} name=${name%/main.rs} name=${name%.rs}
    [[ $named == *" $name "* ]] || fail "$test is in no list of the Makefile"
done

# As a user's project would: no lock file of ours, one feature at a time. Versions are looked up
# afresh, so this asks the network; done once for each state of the manifests.
stamp=${CARGO_TARGET_DIR:-target}/lint-features
state=$(cat Cargo.toml core/Cargo.toml core/*/Cargo.toml backends/Cargo.toml backends/*/Cargo.toml Cargo.lock | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then
    step "features: the manifests have not changed since each was built alone"
else
    features=$(sed -n '/^\[features\]/,/^\[/p' backends/Cargo.toml | sed -nE 's/^([a-z]+) =.*/\1/p' | grep -vx default)
    user=$(mktemp -d)
    trap 'rm -rf "$user"' EXIT
    mkdir -p "$user/src"
    for feature in '' $features; do
        step "the feature '${feature:-none}' alone"
        {
            printf '[package]\nname = "user"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n'
            printf '[dependencies]\nanyhub = { path = "%s/backends", features = [%s] }\n' "$PWD" "${feature:+\"$feature\"}"
            # The same profile as ours, so that what is built already is not built again.
            sed -n '/^\[profile\.dev/,/^\[profile\.release/p' Cargo.toml | grep -v '^\[profile\.release'
        } >"$user/Cargo.toml"
        printf '#![allow(missing_docs)]\nfn main() { println!("{:?}", anyhub::connect("memory:/t").map(|hub| hub.name())); }\n' >"$user/src/main.rs"
        CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target} cargo check --quiet --manifest-path "$user/Cargo.toml"
    done
    step "packages"
    cargo package --workspace --allow-dirty --no-verify --quiet
    printf '%s\n' "$state" >"$stamp"
fi
