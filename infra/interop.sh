#!/usr/bin/env bash
# anyhub against other people's clients: infra/interop/README.md. `infra/interop.sh eventhubs` runs that part alone.
set -uo pipefail
cd "$(dirname "$0")/.."
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(kinesis eventhubs pubsub)
for part in "${parts[@]}"; do
    if [ ! -f "infra/interop/$part.sh" ]; then
        printf "interop: there is no part '%s': kinesis, eventhubs, pubsub\n" "$part" >&2
        exit 2
    fi
done
failed=0
for part in "${parts[@]}"; do
    "infra/interop/$part.sh" || failed=1
done
exit "$failed"
