#!/usr/bin/env bash
# Builds mailweir and runs its tests; the last line counts them: "N passed, N failed, N skipped".
#
#   tests/run.sh              unit tests (debug build) and whole-program tests (release build)
#   tests/run.sh --quick      the same without the whole-program tests that are marked heavy
#   tests/run.sh --all        what CI runs: all below but --analyze, --faults and --long; fuzzers of rules run for 60 seconds, others for 5
#
# Each of these runs its own part, and several may be named; `--units` and `--system` are the parts of a plain run:
#   --units           unit tests, debug build                 --check           layers, scripts, tables, README
#   --system          whole-program tests, release build      --asan            all of these under ASan and UBSan
#   --tsan            the auth process's tests under TSan     --valgrind        unit tests under valgrind
#   --fuzz SECONDS    every fuzzer for that long              --clang           unit tests, built by clang
#   --tidy            clang-tidy's bugprone set over src/       --analyze         all of .clang-tidy, with clang's analyzer
#
# These measure limits of several nodes, on a machine that does nothing else meanwhile:
#   --faults          while Redis dies, fails over, is cut off, slow or spoiled
#   --long            100 mails a minute, pressed on by 200 clients for four windows, on each store: a quarter of an hour
#
# After every test that started a Redis `mailweir store audit` has looked through it, and how often is told.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/tests/run.sh"; }

parts=() quick='' fuzz_seconds=5 fuzz_rules_seconds=60
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 ;;
    --all) parts+=(units check system clang asan tsan valgrind fuzz tidy) ;;
    --units | --check | --system | --asan | --tsan | --valgrind | --clang | --tidy | --analyze | --faults | --long) parts+=("${1#--}") ;;
    --fuzz)
        case ${2-} in
        '' | *[!0-9]*) echo "run.sh: --fuzz needs a number of seconds" >&2; exit 2 ;;
        esac
        fuzz_seconds=$2 fuzz_rules_seconds=$2
        parts+=(fuzz)
        shift
        ;;
    -h | --help) usage; exit 0 ;;
    *) echo "run.sh: unknown option \"$1\"" >&2; usage >&2; exit 2 ;;
    esac
    shift
done
[ ${#parts[@]} -gt 0 ] || parts=(units check system)

python=/usr/bin/python3 # Debian's, which has the modules that dependencies.sh installs
jobs=$(nproc)
passed=0 failed=0 skipped=0
results=$root/build/results
retries=1 # '': what fails is not tried again
exec </dev/null

bash deploy/dependencies.sh --test || exit 1
rm -rf "$results"
mkdir -p "$results"

say() { printf '\n== %s\n' "$*"; }

# add NAME PASSED FAILED SKIPPED
add() {
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
    printf '   %s: %d passed, %d failed, %d skipped\n' "$1" "$2" "$3" "$4"
}

# build PRESET [TARGET…]: quiet unless it fails, which counts as one failure.
build() {
    local preset=$1 options=() log=$results/build-$1.log
    shift
    if command -v ccache >/dev/null; then
        options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    fi
    case $preset in
    asan | tsan | fuzz | clang) options+=(-DMAILWEIR_BENCH=OFF) ;; # the load generators are built by debug and release …
    *) options+=(-DMAILWEIR_BENCH=ON -DMAILWEIR_TESTS=ON) ;;          # … also where deploy/try.sh has left them out
    esac
    if cmake --preset "$preset" -G Ninja "${options[@]}" >"$log" 2>&1 && ninja -C "build/$preset" "$@" >>"$log" 2>&1; then
        return 0
    fi
    grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking|Re-running)' "$log" | tail -n 60
    add "build $preset" 0 1 0
    return 1
}

# builds PART: what it needs.
builds() {
    case $1 in
    units | valgrind) build debug ;;
    check) build release mailweir ;;
    system | faults | long) build release mailweir bench_greedy bench_sink ;;
    clang) build clang ;;
    asan) build release bench_greedy bench_sink && build asan ;;
    tsan)
        local tests
        mapfile -t tests < <(find tests/unit/auth -name 'test_*.c' | sed -E 's|.*/(test_\w+)\.c|auth_\1|')
        build tsan mailweir "${tests[@]}"
        ;;
    fuzz) build fuzz fuzzers ;;
    tidy | analyze) build clang build.ninja ;; # no more than how each file is compiled
    esac
}

# ahead PART…: does for them what can be done in time that nobody else wants, for tests wait through much of theirs: first
# builds what they need, then runs programs under valgrind. Whatever it has not done when a part comes, or could not do, is
# done then.
ahead() {
    set -m # a process group of its own, which can be ended
    {
        renice -n 19 "$BASHPID"
        local part names
        for part in "$@"; do
            [ -f "$results/ahead-$part" ] || { builds "$part" && : >"$results/ahead-$part"; }
        done
        case " $* " in
        *' valgrind '*)
            mapfile -t names < <(valgrind_names)
            each valgrind_one "${names[@]}"
            ;;
        esac
    } >/dev/null 2>&1 &
    builder=$!
    disown # it is none of those that each() counts
    set +m
}

builder='' # the process group of ahead()
end_ahead() {
    while [ -n "$builder" ] && kill -- -"$builder" 2>/dev/null; do sleep 0.1; done
    builder=''
}
trap end_ahead EXIT

# count KIND FILE: "PASSED FAILED SKIPPED" from what a test program left.
count() { "$python" tests/summary.py "$@"; }

# units NAME PRESET [CTEST OPTION…]. Two at a time on each processor, for three quarters of their time they wait.
units() {
    local name=$1 preset=$2 log=$results/$1.log
    shift 2
    say "unit tests: $name"
    # Some hold real sockets and clocks: one that fails beside others is tried once more.
    ctest --test-dir "build/$preset" -L unit -j $((jobs * 2)) --timeout 300 -V --no-tests=error --repeat until-pass:2 "$@" >"$log" 2>&1
    # shellcheck disable=SC2046 # three numbers
    add "$name" $(count ctest "$log")
}

# pytest_once BINARY SLOWNESS NAME LOG XML ARGUMENT…
pytest_once() {
    local binary=$1 slowness=$2 name=$3 log=$4 xml=$5
    shift 5
    MAILWEIR=$binary MAILWEIR_SLOWNESS=$slowness "$python" -B -m pytest -c tests/pytest.ini --rootdir tests \
        -o cache_dir="$results/cache-$name" --junitxml "$xml" -q --color=no "$@" >"$log" 2>&1
}

# pytest_run NAME BINARY SLOWNESS ARGUMENT…
pytest_run() {
    local name=$1 binary=$2 slowness=$3 log=$results/$1.log xml=$results/$1.xml
    shift 3
    pytest_once "$binary" "$slowness" "$name" "$log" "$xml" "$@"
    local code=$?
    # 5: nothing was selected. Anything else that left no report is a failure of its own.
    if [ ! -f "$xml" ] || { [ $code -ne 0 ] && [ $code -ne 1 ]; }; then
        tail -n 60 "$log"
        add "$name" 0 1 0
        return
    fi
    [ $code -eq 0 ] || sed -n '/= FAILURES =\|= ERRORS =/,$p' "$log" | tail -n 400
    local good bad left again=$results/$name-again
    read -r good bad left < <(count junit "$xml")
    # Whole programs, sockets and clocks: what fails beside dozens of others is tried once more, alone, and that is said.
    # A test that fails then has failed.
    if [ "$bad" -gt 0 ] && [ "$bad" -le 10 ] && [ -n "$retries" ]; then
        pytest_once "$binary" "$slowness" "$name" "$again.log" "$again.xml" "$@" -n 0 --last-failed
        if [ -f "$again.xml" ]; then
            local good_again bad_again left_again
            read -r good_again bad_again left_again < <(count junit "$again.xml")
            printf -- '-- %s: %d of %d that failed passed when tried alone\n' "$name" "$good_again" "$bad"
            [ "$bad_again" -eq 0 ] || sed -n '/= FAILURES =\|= ERRORS =/,$p' "$again.log" | tail -n 400
            if [ $((good_again + bad_again + left_again)) -eq "$bad" ]; then
                good=$((good + good_again)) bad=$bad_again left=$((left + left_again))
            fi
        fi
    fi
    grep '^measured: ' "$log"
    grep '^store audit ran' "$log" | sed 's/^/   /'
    add "$name" "$good" "$bad" "$left"
}

# system NAME BINARY SLOWNESS [ARGUMENT…]. Three at a time on each processor, for three quarters of their time they wait: all
# together they take a quarter hour on 400 CPU seconds.
system() {
    local name=$1 binary=$2 slowness=$3
    shift 3
    say "whole-program tests: $name"
    local selected='not long'
    [ -z "$quick" ] || selected+=' and not heavy'
    [ "$slowness" -eq 1 ] || selected+=' and not measures'
    pytest_run "$name" "$binary" "$slowness" -n $((jobs * 3)) --dist load -m "$selected" --ignore="$faults" "$@" tests/system
}

# These press four nodes with crowds while a real Redis fails, and time what comes of it: alone, and not in --all.
faults=tests/system/test_redis_faults.py
run_faults() {
    say "limits while Redis fails"
    retries='' pytest_run faults "$root/build/release/mailweir" 1 -n 0 "$faults"
}

# Nothing runs beside them, so none is tried again: what fails here has failed.
run_long() {
    say "limits for minutes"
    MAILWEIR_LONG=1 retries='' pytest_run long "$root/build/release/mailweir" 1 -n 0 -m long tests/system
}

run_units() { units units debug; }
run_check() {
    say "checks of the source"
    pytest_run check "$root/build/release/mailweir" 1 tests/check
}
run_system() { system system "$root/build/release/mailweir" 1; }

run_asan() {
    export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
    units asan-units asan
    # How many a crowd gets through is measured on the release build, and what tests the tests needs no other.
    MAILWEIR_SESSIONS=${MAILWEIR_SESSIONS:-500} system asan-system "$root/build/asan/mailweir" 3 \
        --ignore=tests/system/test_promise.py --ignore=tests/system/test_store_faults.py \
        --ignore=tests/system/test_harness.py --ignore=tests/system/test_promise_harness.py
    unset ASAN_OPTIONS UBSAN_OPTIONS
}

run_tsan() {
    # Only auth/ has threads; memory that processes share is beyond what ThreadSanitizer sees.
    export TSAN_OPTIONS=halt_on_error=1:exitcode=66
    units tsan-units tsan -R '^auth_'
    say "whole-program tests: tsan-logins"
    pytest_run tsan-logins "$root/build/tsan/mailweir" 4 tests/system/test_logins.py
    unset TSAN_OPTIONS
}

# each FUNCTION NAME…: calls it with each of the names, as many at a time as there are processors.
each() {
    local function=$1 name
    shift
    for name in "$@"; do
        while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do wait -n; done
        "$function" "$name" &
    done
    wait
}

# Valgrind is there for what ASan does not see, reads of what was never written: for all that takes bytes from outside, and
# for memory that workers share. Left to ASan (and to --units, --clang) are
valgrind_leaves() {
    # … what it cannot run: Debian 12's knows no pidfd_open,
    echo process_test_table_keeper
    # … what needs a real Redis, which does not wait for a program that is twenty times slower than itself,
    grep -lE 'redis_servers|redis_store/' tests/unit/*/test_*.c | sed -E 's#tests/unit/(.*)/(.*)\.c#\1_\2#'
    # … and a fifth of its time, for code that others take it through:
    sed 's/ .*//' <<'END'
limits_test_limiter_later      the suite of limits_test_store_memory once more, over the same table
auth_test_users_write          hashes passwords; what it writes is read by auth_test_users_file
auth_test_auth_service         hashes passwords; messages are auth_test_auth_message, the client's side auth_test_auth_client
net_test_tls_client_ca         OpenSSL makes CAs and shakes hands; net_test_tls and net_test_conn_tls do, too
rules_test_format_generated    thousands of generated files through what rules_test_format and rules_test_parse show case by case
policy_test_trial              a simulation on a virtual clock: policy_test_replay and policy_test_limits
process_test_reload            starts processes and waits for them; what they say is no outsider's
process_test_supervisor        the same
END
}

valgrind_names() {
    find build/debug/tests -maxdepth 1 -type f -perm -u+x -printf '%f\n' | sort | grep -vxF "$(valgrind_leaves)"
}

# valgrind_one PROGRAM: leaves its log, and PROGRAM.good if nothing was wrong, which is then not asked again. Tests that hash
# passwords take fewer then. --foreground: it ends with the process group of ahead().
valgrind_one() {
    [ ! -f "$results/valgrind-$1.good" ] || return 0
    if MAILWEIR_SLOWNESS=20 timeout --foreground 300 valgrind -q --error-exitcode=99 --leak-check=full \
        --errors-for-leak-kinds=definite,possible --trace-children=no "build/debug/tests/$1" >"$results/valgrind-$1.log" 2>&1; then
        : >"$results/valgrind-$1.good"
    fi
}

run_valgrind() {
    say "unit tests under valgrind"
    local name names good=0 bad=0
    mapfile -t names < <(valgrind_names)
    each valgrind_one "${names[@]}"
    for name in "${names[@]}"; do
        # Sockets and clocks, twenty times slower than usual: once more, alone, and that is said.
        if [ ! -f "$results/valgrind-$name.good" ]; then
            mv "$results/valgrind-$name.log" "$results/valgrind-$name-first.log"
            valgrind_one "$name"
            [ ! -f "$results/valgrind-$name.good" ] || printf -- '-- valgrind: %s failed, and passed when tried alone\n' "$name"
        fi
        if [ -f "$results/valgrind-$name.good" ]; then
            good=$((good + 1))
        else
            bad=$((bad + 1))
            printf -- '-- %s\n' "$name"
            tail -n 40 "$results/valgrind-$name.log"
        fi
    done
    add valgrind $good $bad "$(valgrind_leaves | wc -l)"
}

# fuzz_one NAME: leaves its log, and NAME.good if it found nothing.
fuzz_one() {
    local name=$1 seconds=$fuzz_seconds options dictionary corpus
    case $name in fuzz_rules_*) seconds=$fuzz_rules_seconds ;; esac
    options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$results/$name-")
    for dictionary in "tests/fuzz/$name.dict" "tests/fuzz/${name#fuzz_}.dict"; do
        [ ! -f "$dictionary" ] || options+=("-dict=$dictionary")
    done
    # What the fuzzer finds goes into the first folder; what is kept with the source is only read.
    mkdir -p "build/corpus/$name"
    options+=("build/corpus/$name")
    for corpus in "tests/fuzz/corpus/$name" "tests/fuzz/corpus/${name#fuzz_}"; do
        [ ! -d "$corpus" ] || options+=("$corpus")
    done
    if timeout $((seconds + 60)) "build/fuzz/tests/fuzz/$name" "${options[@]}" >"$results/$name.log" 2>&1; then
        : >"$results/$name.good"
    fi
}

run_fuzz() {
    say "fuzzers, $fuzz_seconds s each, those of rules $fuzz_rules_seconds s"
    local name good=0 bad=0 names
    mapfile -t names < <(find tests/fuzz -name 'fuzz_*.c' -printf '%f\n' | sed 's/\.c$//' | sort)
    each fuzz_one "${names[@]}"
    for name in "${names[@]}"; do
        if [ -f "$results/$name.good" ]; then
            good=$((good + 1))
        else
            bad=$((bad + 1))
            printf -- '-- %s\n' "$name"
            tail -n 60 "$results/$name.log"
        fi
    done
    add fuzz $good $bad 0
}

# The suite of every store takes 20 CPU seconds on each shape of Redis; what clang compiles otherwise shows on one. On the
# other two it runs in `units` and `asan`.
run_clang() { units clang clang -E '^limits_test_store_redis_(sentinel|cluster)$'; }

# tidy NAME [CLANG-TIDY OPTION…]
tidy() {
    local name=$1
    shift
    say "$name"
    local bad=0 files
    files=$(find src -name '*.c' | wc -l)
    # As in clang's own build: it does not know all of gcc's warning options.
    if ! run-clang-tidy -p build/clang -quiet -j "$jobs" "$@" "^$root/src/" >"$results/tidy.raw" 2>&1; then
        sed $'s/\e\\[[0-9;]*m//g' "$results/tidy.raw" >"$results/tidy.log"
        grep -E '(warning|error):' "$results/tidy.log" | sort -u | head -n 60
        bad=$(grep -oE "^$root/src/[^:]+:[0-9]+:[0-9]+: error:" "$results/tidy.log" | cut -d: -f1 | sort -u | wc -l)
        [ "$bad" -gt 0 ] || bad=1
    fi
    add "$name" $((files - bad)) "$bad" 0
}

# The analyzer looks at every path through every function, which takes ten times as long as all else.
run_tidy() { tidy clang-tidy '-checks=-clang-analyzer-*'; }
run_analyze() { tidy analyzer; }

started=$SECONDS took=()
mapfile -t parts < <(printf '%s\n' "${parts[@]}" | awk '!seen[$0]++')
for i in "${!parts[@]}"; do
    part=${parts[i]} began=$SECONDS
    end_ahead
    if builds "$part"; then
        case $part in
        faults | long) ;; # they want the machine for themselves
        *) ahead "${parts[@]:i+1}" ;;
        esac
        "run_$part"
    fi
    took+=("$part $((SECONDS - began)) s")
    printf '   (%s)\n' "${took[-1]}"
done
printf '\nAll in %d s (%s); logs in build/results/\n' $((SECONDS - started)) "$(IFS=,; echo "${took[*]}")"
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
