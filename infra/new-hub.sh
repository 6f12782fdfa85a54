#!/usr/bin/env bash
# Lays out a backend from infra/new-hub: six files, a conformance test, and its place in the workspace.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:-}
if ! [[ $name =~ ^[a-z][a-z0-9]*$ ]]; then
    printf 'new-hub: give it a name of lower-case letters and digits: make new-hub NAME=nats\n' >&2
    exit 2
fi
folder=backends/$name
if [ -e "$folder" ]; then
    printf 'new-hub: %s is there already\n' "$folder" >&2
    exit 2
fi
# Written for the bash 3.2 and the sed of macOS, too.
capital=$(printf '%s' "${name:0:1}" | tr '[:lower:]' '[:upper:]')${name:1}
mkdir -p "$folder/src" "$folder/tests"
for template in infra/new-hub/*.in infra/new-hub/*/*.in; do
    path=${template#infra/new-hub/}
    sed -e "s/@name@/$name/g" -e "s/@Name@/$capital/g" "$template" >"$folder/${path%.in}"
done
awk -v name="$name" -v folder="$folder" '
    { print }
    /^    "backends\/kafka",/ { printf "    \"%s\",\n", folder }
    /^anyhub-local = / { printf "anyhub-%s = { path = \"%s\", version = \"0.1.0\" }\n", name, folder }
' Cargo.toml >Cargo.toml.new
mv Cargo.toml.new Cargo.toml
cargo fmt -p "anyhub-$name"
printf 'laid out %s; it builds, and its conformance is red:\n  cargo test -p anyhub-%s --test conformance\nCONTRIBUTING.md says what comes next.\n' "$folder" "$name"
