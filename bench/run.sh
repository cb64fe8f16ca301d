#!/usr/bin/env bash
# Builds a release and measures it beside HAProxy, nginx and Postfix; `bench/run.sh --help` tells what can be chosen.
# Wants root and Debian 12, takes some minutes, and is no test: what it prints depends on the machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash deploy/dependencies.sh --bench
log=$(mktemp)
trap 'rm -f "$log"' EXIT
options=()
pkg-config --exists cmocka || options+=(-DMAILWEIR_TESTS=OFF) # the unit tests need it, this does not
if ! { cmake --preset release -G Ninja -DMAILWEIR_BENCH=ON "${options[@]}" && ninja -C build/release mailweir bench; } >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "run.sh: the build failed; its log is above" >&2
    exit 1
fi
# `tables`, `rules`, `store` or `replay` alone, or all of them before all else
case ${1-} in
tables) exec build/release/bench/tables ;;
rules | replay | store) exec /usr/bin/python3 "bench/$1.py" ;;
esac
case " $* " in
*" --only "* | *" --help "* | *" -h "*) ;;
*)
    build/release/bench/tables || echo "run.sh: a table does not keep to its bound" >&2
    /usr/bin/python3 bench/replay.py || echo "run.sh: replay does not keep to its bound" >&2
    /usr/bin/python3 bench/rules.py || echo "run.sh: a thousand rules do not keep to their bound" >&2
    /usr/bin/python3 bench/store.py || echo "run.sh: the store in Redis does not keep to its bounds" >&2
    ;;
esac
/usr/bin/python3 bench/run.py "$@"
