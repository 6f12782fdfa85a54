#!/usr/bin/env bash
# Our KPL records read by Amazon's and PyPI's libraries, and theirs by us: infra/interop/README.md.
# The libraries are fetched once, into the target folder.
set -euo pipefail
cd "$(dirname "$0")/.."
from=infra/interop
seed=${ANYHUB_SEED:-1}
mkdir -p "${CARGO_TARGET_DIR:-target}/interop"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/interop
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

fetched() { # folder, state: is that state in it?
    [ "$(cat "$work/$1/state" 2>/dev/null)" = "$2" ]
}

state=$(cksum <"$from/pom.xml")
if ! fetched java "$state"; then
    printf 'interop: fetching KCL\n' >&2
    rm -rf "$work/java"
    mvn=${MAVEN_HOME:+$MAVEN_HOME/bin/}mvn
    "$mvn" --quiet --batch-mode -Dstyle.color=never --strict-checksums --file "$from/pom.xml" dependency:copy -Djars="$work/java"
    printf '%s\n' "$state" >"$work/java/state"
fi
jars=$(printf '%s:' "$work"/java/kcl/*.jar)

state="$(python3 --version) $(cksum <"$from/requirements.txt")"
if ! fetched python "$state"; then
    printf 'interop: fetching aws_kinesis_agg\n' >&2
    rm -rf "$work/python"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-deps --disable-pip-version-check --target "$work/python" \
        --requirement "$from/requirements.txt"
    printf '%s\n' "$state" >"$work/python/state"
fi

"${CARGO:-cargo}" build --locked --quiet -p anyhub-kinesis --example interop
rm -rf "$work/classes"
"$java" -jar "$work"/java/ecj/ecj-*.jar -17 -proc:none -nowarn -encoding UTF-8 -cp "$jars" -d "$work/classes" "$from/Interop.java"

ours() { "$target/debug/examples/interop" "$@"; }
amazon() { "$java" -Xmx1g -Dfile.encoding=UTF-8 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$work/classes:$jars" Interop "$@"; }
pypi() { PYTHONPATH=$work/python PYTHONDONTWRITEBYTECODE=1 python3 "$from/interop.py" "$@"; }

passed=0 failed=0
exchange() { # who writes, who reads
    local folder=$work/files/$1
    if "$2" read "$folder"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

rm -rf "$work/files"
for writer in ours amazon pypi; do
    mkdir -p "$work/files/$writer"
    "$writer" write "$work/files/$writer" "$seed"
done
exchange ours amazon
exchange ours pypi
exchange amazon ours
exchange pypi ours
# KCL reads Python's too: the two agree with each other, and not just with us.
exchange pypi amazon
printf 'interop: %s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
