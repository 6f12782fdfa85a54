#!/usr/bin/env bash
# Google's clients for Python and Go and anyhub on one local Pub/Sub: each reads what the others have sent: README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
. infra/interop/fetched.sh
from=infra/interop/pubsub
needs python3 Python
PATH=$PATH:/usr/local/go/bin
needs go "Go 1.26 or newer"
if ! printf 'go1.26\n%s\n' "$(go env GOVERSION)" | sort -VC; then
    printf 'interop: missing: Go 1.26 or newer (go is %s)\n' "$(go env GOVERSION)" >&2
    exit 2
fi

python_libraries pubsub-python "$from/requirements.txt"
[ -d "$work/pubsub-go" ] || printf 'interop: fetching %s\n' "$from/go/go.mod" >&2
# Modules that can be deleted again, and no newer Go than what is here.
GOMODCACHE=$work/pubsub-go GOFLAGS=-modcacherw GOTOOLCHAIN=local CGO_ENABLED=0 \
    go build -C "$from/go" -mod=readonly -trimpath -o "$work/interop-pubsub-go" .

"${CARGO:-cargo}" build --locked --quiet -p anyhub-pubsub --example interop
cp "$target/debug/examples/interop" "$work/interop-pubsub"
"${CARGO:-cargo}" build --locked --quiet -p anyhub-local --no-default-features --features pubsub
coproc up { exec "$target/debug/anyhub-local" up pubsub --json; }
server=$up_PID
trap 'kill "$server" 2>/dev/null || true' EXIT
read -r -u "${up[0]}" said
of_server() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$said" "$1"; }
url=$(of_server url)
PUBSUB_EMULATOR_HOST=$(of_server emulator_host)
export PUBSUB_EMULATOR_HOST

ours() { "$work/interop-pubsub" "$1" "${url/\?//$2?}" "${@:3}"; } # command, topic, further arguments
python() {
    PYTHONPATH=$work/pubsub-python:infra/interop PYTHONDONTWRITEBYTECODE=1 python3 "$from/interop.py" "$@"
}
golang() { "$work/interop-pubsub-go" "$@"; }

files=$work/files-pubsub
rm -rf "$files"
publish() { # who
    mkdir -p "$files/$1"
    counted "$1" publish "from-$1" "$files/$1" "$seed"
}
exchange() { # who reads whose
    local command
    for command in read seek nack exactly-once; do
        printf '%s: ' "$2"
        counted "$1" "$command" "from-$2" "$files/$2"
    done
}

publish ours
publish python
publish golang
exchange python ours
exchange golang ours
exchange ours python
exchange ours golang
# The two agree with each other, and not just with us.
exchange golang python
exchange python golang
counted python refusals
counted golang refusals
printf 'interop: pubsub: %s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
