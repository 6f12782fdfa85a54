#!/usr/bin/env bash
# Our KPL records read by Amazon's and PyPI's libraries, and theirs by us: README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
. infra/interop/fetched.sh
from=infra/interop/kinesis
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
mvn=${MAVEN_HOME:+$MAVEN_HOME/bin/}mvn
needs "$java" "Java 17 or newer"
needs "$mvn" Maven
needs python3 Python

state=$(cksum <"$from/pom.xml")
if ! fetched java "$state"; then
    printf 'interop: fetching KCL\n' >&2
    rm -rf "$work/java"
    "$mvn" --quiet --batch-mode -Dstyle.color=never --strict-checksums --file "$from/pom.xml" dependency:copy -Djars="$work/java"
    printf '%s\n' "$state" >"$work/java/state"
fi
jars=$(printf '%s:' "$work"/java/kcl/*.jar)
python_libraries python "$from/requirements.txt"

"${CARGO:-cargo}" build --locked --quiet -p anyhub-kinesis --example interop
cp "$target/debug/examples/interop" "$work/interop-kinesis"
rm -rf "$work/classes"
"$java" -jar "$work"/java/ecj/ecj-*.jar -17 -proc:none -nowarn -encoding UTF-8 -cp "$jars" -d "$work/classes" "$from/Interop.java"

ours() { "$work/interop-kinesis" "$@"; }
amazon() { "$java" -Xmx1g -Dfile.encoding=UTF-8 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$work/classes:$jars" Interop "$@"; }
pypi() { PYTHONPATH=$work/python PYTHONDONTWRITEBYTECODE=1 python3 "$from/interop.py" "$@"; }

exchange() { # who writes, who reads
    counted "$2" read "$work/files/$1"
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
printf 'interop: kinesis: %s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
