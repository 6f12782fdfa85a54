#!/usr/bin/env bash
# Looks for what the build and the local hubs need; installs what is missing where apt-get is, and
# says what to install elsewhere. What is there is taken as it is, and nothing is asked of the
# network then. `infra/setup.sh node go` looks for Node.js and Go too, which LocalStack, pstest and
# `make interop` need.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

java_of() { # the major version of a java command, or nothing
    "$1" -version 2>&1 | sed -nE '1s/.*version "([0-9]+).*/\1/p'
}

has_java() {
    local java version
    for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java; do
        command -v "$java" >/dev/null 2>&1 || continue
        version=$(java_of "$java")
        [ -n "$version" ] && [ "$version" -ge 17 ] && return 0
    done
    return 1
}

has_maven() {
    command -v mvn >/dev/null 2>&1 || [ -x "${MAVEN_HOME:-/nonexistent}/bin/mvn" ]
}

# OpenSSL's Configure needs modules that Debian's perl-base lacks.
has_perl() { perl -MIPC::Cmd -MFile::Compare -MFindBin -MPod::Usage -e 1 >/dev/null 2>&1; }

has_cxx() { command -v c++ >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1; }

has_pip() { python3 -m pip --version >/dev/null 2>&1 || pip3 --version >/dev/null 2>&1; }

has_node() {
    local version
    command -v npm >/dev/null 2>&1 || return 1
    version=$(node --print 'process.versions.node.split(".")[0]' 2>/dev/null)
    [ -n "$version" ] && [ "$version" -ge 20 ]
}

has_go() {
    local go version
    for go in go /usr/local/go/bin/go; do
        version=$("$go" env GOVERSION 2>/dev/null | sed -nE 's/^go([0-9]+)\.([0-9]+).*/\1 \2/p')
        [ -n "$version" ] && [ "${version% *}" -ge 1 ] && [ "${version#* }" -ge 26 ] && return 0
    done
    return 1
}

has_cargo() { cargo --version >/dev/null 2>&1; }

has_cc() { command -v cc >/dev/null 2>&1; }

# what | how to know | apt | brew | needed to build at all
NEEDS=(
    'a C compiler|has_cc|build-essential|gcc|yes'
    'a C++ compiler|has_cxx|g++|gcc|yes'
    'Perl with its modules|has_perl|perl|perl|yes'
    'Java 17 or newer|has_java|JRE|openjdk|no'
    'Maven|has_maven|maven|maven|no'
    'pip|has_pip|python3-pip|python|no'
)
for more in "$@"; do
    case "$more" in
        node) NEEDS+=('Node.js 20 or newer|has_node|npm|node|no') ;;
        go) NEEDS+=('Go 1.26 or newer|has_go|golang-go|go|no') ;;
    esac
done

if ! has_cargo; then
    say "missing: Rust. Install it from https://rustup.rs, then run this again."
    exit 2
fi

names=() apt=() brew=() must=no
for need in "${NEEDS[@]}"; do
    IFS='|' read -r name known deb formula needed <<<"$need"
    if ! "$known"; then
        names+=("$name") apt+=("$deb") brew+=("$formula")
        [ "$needed" = no ] || must=yes
    fi
done
[ ${#names[@]} -eq 0 ] && exit 0

say "missing: $(printf '%s, ' "${names[@]}" | sed 's/, $//')"

give_up() { # the rest still runs without the hubs' servers, but not without a compiler
    if [ "$must" = yes ]; then exit 2; fi
    say "going on without; what needs it says so"
    exit 0
}

if [ "$(uname)" = Darwin ]; then
    say "install with: brew install $(printf '%s\n' "${brew[@]}" | sort -u | tr '\n' ' ')"
    give_up
fi
if ! command -v apt-get >/dev/null 2>&1; then
    say "install: $(printf '%s ' "${apt[@]/JRE/openjdk-17-jre-headless}")(the names are Debian's)"
    give_up
fi

sudo=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        say "as root, run: apt-get install ${apt[*]/JRE/default-jre-headless}"
        give_up
    fi
    sudo=(sudo)
fi
if [ -t 0 ] && [ -z "${CI:-}" ]; then
    read -r -p "Install with apt-get: ${apt[*]/JRE/a JRE}? [Y/n] " answer
    case "$answer" in [nN]*) give_up ;; esac
fi
${sudo[@]+"${sudo[@]}"} apt-get update -qq >&2 || say "apt-get update failed; going on with the lists that are there"
# The oldest release's package that is new enough: which one there is depends on the distribution.
jre=default-jre-headless
for version in 17 21 25; do
    if [ -n "$(apt-cache madison "openjdk-$version-jre-headless" 2>/dev/null)" ]; then
        jre=openjdk-$version-jre-headless
        break
    fi
done
if ! ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${apt[@]/JRE/$jre}" >&2; then
    say "apt-get could not install: ${apt[*]/JRE/$jre}"
    give_up
fi
