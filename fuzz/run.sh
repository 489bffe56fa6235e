#!/bin/sh
# Lets libFuzzer feed the targets, MINUTES for each: TARGET for one of them. With PLANT each target
# has a bug (src/plant.rs) and the run says whether, and after how long, it was found.
set -eu
cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz passes: the instrumentation is in every LLVM, nightly or not.
coverage="-Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    coverage="$coverage -Cllvm-args=-sanitizer-coverage-$option"
done
# With a target named, build scripts and macros are spared the instrumentation.
RUSTFLAGS="$coverage" CARGO_TARGET_DIR=target/fuzz cargo build --profile fuzz --target "$host" \
    -p govc-fuzz --features libfuzzer --bin govc-fuzz-run
fuzzer=target/fuzz/$host/fuzz/govc-fuzz-run
seconds=$(awk "BEGIN { print int(${MINUTES:-1} * 60) }")
failed=
for corpus in fuzz/corpus/*/; do
    target=$(basename "$corpus")
    [ -z "${TARGET:-}" ] || [ "$TARGET" = "$target" ] || continue
    found=target/fuzz/found/$target
    mkdir -p "$found"
    set -- -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 -dict=fuzz/words.dict \
        -artifact_prefix="$found/" -print_final_stats=0 -verbosity=0
    export GOVC_FUZZ_TARGET="$target"
    if [ -n "${PLANT:-}" ]; then
        new=$(mktemp -d)
        began=$(date +%s)
        if GOVC_FUZZ_PLANT="$target" "$fuzzer" "$@" "$new" "$corpus" 2>"$found/planted.log"; then
            echo "$target: the planted bug was NOT found in $seconds s" && failed=1
        elif grep -q "the bug that was planted" "$found/planted.log"; then
            echo "$target: the planted bug was found in $(($(date +%s) - began)) s"
        else
            echo "$target: something else was found, see $found" && failed=1
        fi
        rm -rf "$new"
    else
        new=target/fuzz/corpus/$target
        mkdir -p "$new"
        if "$fuzzer" "$@" "$new" "$corpus" 2>"$found/run.log"; then
            echo "$target: nothing in $seconds s"
        else
            tail -30 "$found/run.log" && echo "$target: FAILED, see $found" && failed=1
        fi
    fi
done
[ -z "$failed" ]
