# What the parts of `make interop` have in common; sourced in the root of the repository. Libraries are fetched once, into the
# target folder.
seed=${ANYHUB_SEED:-1}
mkdir -p "${CARGO_TARGET_DIR:-target}/interop"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/interop

needs() { # command, what it is
    if ! command -v "$1" >/dev/null 2>&1; then
        printf 'interop: missing: %s (%s)\n' "$2" "$1" >&2
        exit 2
    fi
}

fetched() { # folder, state: is that state in it?
    [ "$(cat "$work/$1/state" 2>/dev/null)" = "$2" ]
}

python_libraries() { # folder, requirements
    local state
    state="$(python3 --version) $(cksum <"$2")"
    if ! fetched "$1" "$state"; then
        printf 'interop: fetching %s\n' "$2" >&2
        rm -rf "${work:?}/$1"
        PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-deps --disable-pip-version-check \
            --target "$work/$1" --requirement "$2"
        printf '%s\n' "$state" >"$work/$1/state"
    fi
}

passed=0 failed=0
counted() { # a command whose success is a pass
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}
