#!/usr/bin/env bash
# The local Event Hubs as Microsoft's client for Python sees it: events there and back, and a refusal of each kind.
# The client is fetched once, into the target folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
from=infra/interop
mkdir -p "${CARGO_TARGET_DIR:-target}/interop"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/interop

state="$(python3 --version) $(cksum <"$from/eventhubs-requirements.txt")"
if [ "$(cat "$work/eventhubs/state" 2>/dev/null)" != "$state" ]; then
    printf 'interop: fetching azure-eventhub\n' >&2
    rm -rf "$work/eventhubs"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-deps --disable-pip-version-check \
        --target "$work/eventhubs" --requirement "$from/eventhubs-requirements.txt"
    printf '%s\n' "$state" >"$work/eventhubs/state"
fi

"${CARGO:-cargo}" build --locked --quiet -p anyhub-local --no-default-features --features eventhubs
coproc up { exec "$target/debug/anyhub-local" up eventhubs --event-hub tweets=4 --json; }
server=$up_PID
trap 'kill "$server" 2>/dev/null || true' EXIT
read -r -u "${up[0]}" said
PYTHONPATH=$work/eventhubs PYTHONDONTWRITEBYTECODE=1 python3 "$from/eventhubs.py" "$said"
