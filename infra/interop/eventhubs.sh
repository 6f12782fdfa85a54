#!/usr/bin/env bash
# Microsoft's clients for Python and JavaScript and anyhub on one local Event Hubs: each reads what the others have sent:
# README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
. infra/interop/fetched.sh
from=infra/interop/eventhubs
needs python3 Python
needs node "Node.js 20 or newer"
needs npm npm
if [ "$(node --print 'process.versions.node.split(".")[0]')" -lt 20 ]; then
    printf 'interop: missing: Node.js 20 or newer (node is %s)\n' "$(node --version)" >&2
    exit 2
fi

python_libraries eventhubs-python "$from/requirements.txt"
state="$(node --version) $(cat "$from/package.json" "$from/package-lock.json" | cksum)"
if ! fetched eventhubs-javascript "$state"; then
    printf 'interop: fetching %s\n' "$from/package-lock.json" >&2
    rm -rf "$work/eventhubs-javascript"
    mkdir "$work/eventhubs-javascript"
    cp "$from/package.json" "$from/package-lock.json" "$from/.npmrc" "$work/eventhubs-javascript"
    npm ci --prefix "$work/eventhubs-javascript" --ignore-scripts --no-audit --no-fund --silent
    printf '%s\n' "$state" >"$work/eventhubs-javascript/state"
fi

"${CARGO:-cargo}" build --locked --quiet -p anyhub-eventhubs --example interop
cp "$target/debug/examples/interop" "$work/interop-eventhubs"
"${CARGO:-cargo}" build --locked --quiet -p anyhub-local --no-default-features --features eventhubs
coproc up {
    exec "$target/debug/anyhub-local" up eventhubs --json --first-sequence-number 0 \
        --event-hub ours=5 --event-hub by-key=4 --event-hub python=4 --event-hub javascript=4 --event-hub refusals=2
}
server=$up_PID
trap 'kill "$server" 2>/dev/null || true' EXIT
read -r -u "${up[0]}" said

of_hub() { # url or connection_string, hub
    python3 -c 'import json, sys; print(next(hub[sys.argv[2]] for hub in json.loads(sys.argv[1])["event_hubs"] if hub["name"] == sys.argv[3]))' \
        "$said" "$@"
}
ours() { # command, hub, further arguments
    local url
    url=$(of_hub url "$2")
    # Where the service chooses the partition of a key.
    [ "$2" != by-key ] || url="$url&partitioning=service"
    "$work/interop-eventhubs" "$1" "$url" "${@:3}"
}
python() {
    PYTHONPATH=$work/eventhubs-python:infra/interop PYTHONDONTWRITEBYTECODE=1 \
        python3 "$from/interop.py" "$1" "$(of_hub connection_string "$2")" "${@:3}"
}
javascript() {
    NODE_PATH=$work/eventhubs-javascript/node_modules node "$from/interop.js" "$1" "$(of_hub connection_string "$2")" "${@:3}"
}

files=$work/files-eventhubs
rm -rf "$files"
publish() { # who, to which hub
    mkdir -p "$files/$2"
    counted "$1" publish "$2" "$files/$2" "$seed"
}
exchange() { # who reads which hub
    printf '%s: ' "$2"
    counted "$1" read "$2" "$files/$2"
}

publish ours ours
publish ours by-key
publish python python
publish javascript javascript
for hub in ours by-key; do
    exchange python "$hub"
    exchange javascript "$hub"
done
exchange ours python
exchange ours javascript
# The two agree with each other, and not just with us. JavaScript's makes a number of Python's false.
exchange python javascript
counted python refusals refusals
counted javascript refusals refusals
printf 'interop: eventhubs: %s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
