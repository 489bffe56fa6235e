#!/bin/sh
# Lets libFuzzer feed the targets, MINUTES for each, TARGET for one of them, and prints a table. What
# is found is kept in target/fuzz/found and makes the run fail. With KEEP=1 inputs that reach
# something new are added to the corpus, as few of them as do. With PLANT=1 each parser has a bug
# (src/plants.rs), and the run fails unless each is found: by the fuzzer, so inputs of the corpus
# that show it already are set aside.
#
# It takes Rust, a stable one, and a C++ compiler for libFuzzer (the crate libfuzzer-sys brings its
# source), which is installed where apt-get may.
set -eu
cd "$(dirname "$0")/.."
. fuzz/needs.sh
need_rust
need "${CXX:-c++}" g++
host=$(rustc -vV | sed -n 's/^host: //p')
work=$PWD/target/fuzz
seconds=$(awk "BEGIN { print int(${MINUTES:-1} * 60 + 0.5) }")

# What cargo-fuzz passes: the instrumentation is in every LLVM, nightly or not.
flags="-Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags="$flags -Cllvm-args=-sanitizer-coverage-$option"
done
# With a target named, build scripts and macros are spared the instrumentation.
build() {
    (cd "$1" && RUSTFLAGS="$flags" CARGO_TARGET_DIR="$work" cargo build --profile fuzz \
        --target "$host" -p govc-fuzz --features libfuzzer --bin govc-fuzz-run)
    cp "$work/$host/fuzz/govc-fuzz-run" "$2"
}
mkdir -p "$work"
cargo build --workspace --bin govc-fuzz
kit=${CARGO_TARGET_DIR:-target}/debug/govc-fuzz
fuzzer=$work/fuzzer
if [ -n "${PLANT:-}" ]; then
    fuzzer=$work/fuzzer-planted
    "$kit" plant "$work/planted"
    build "$work/planted" "$fuzzer"
else
    build . "$fuzzer"
fi

now() { date +%s.%N; }
since() { echo "$1 $(now)" | awk '{ printf "%.1f", $2 - $1 }'; }
# The number behind a word of libFuzzer's: the last one in the log.
counted() { sed -n "s/.*$1:* *\([0-9][0-9]*\).*/\1/p" "$log" | tail -1; }

run_target() {
    new=$work/corpus/$target
    mkdir -p "$new"
    began=$(now)
    if "$fuzzer" "$@" -max_total_time="$seconds" "$new" "$corpus" 2>"$log"; then
        result="nothing"
    else
        result="FOUND, see target/fuzz/found/$target"
        failed=1
    fi
    printf '%-14s %6s s %10s runs %6s edges  %s\n' "$target" "$(since "$began")" \
        "$(counted stat::number_of_executed_units)" "$(counted 'cov')" "$result"
    if [ "$result" != nothing ]; then
        tail -40 "$log"
        echo "to see it again: GOVC_FUZZ_TARGET=$target $fuzzer $(ls -t "$found"/*-* | head -1)"
    elif [ -n "${KEEP:-}" ]; then
        "$fuzzer" "$@" -merge=1 "$corpus" "$new" 2>>"$log"
    fi
}

plant_target() {
    rm -f "$found"/*-*
    export GOVC_FUZZ_PLANT="$target"
    seeds=$(mktemp -d) new=$(mktemp -d) aside=0
    cp "$corpus"/* "$seeds"
    if ! "$fuzzer" "$@" -runs=0 "$seeds" 2>"$log"; then
        for input in "$seeds"/*; do
            "$fuzzer" "$@" "$input" 2>"$log" || { rm "$input" && aside=$((aside + 1)); }
        done
        rm -f "$found"/*-*
    fi
    began=$(now)
    if "$fuzzer" "$@" -max_total_time="$seconds" "$new" "$seeds" 2>"$log"; then
        result="NOT FOUND"
        failed=1
    else
        result="found"
        # What fails without the bug too is another one.
        if ! env -u GOVC_FUZZ_PLANT "$fuzzer" "$@" "$found"/*-* 2>/dev/null; then
            result="ANOTHER"
            failed=1
        fi
    fi
    left=$(ls "$seeds" | wc -l)
    printf '%-14s %-9s in %5s s, %8s runs, from %3s inputs (%s aside): %s\n' "$target" "$result" \
        "$(since "$began")" "$(counted stat::number_of_executed_units)" "$left" "$aside" \
        "$("$kit" bug "$target")"
    rm -rf "$new" "$seeds"
}

failed=
for target in $("$kit" targets); do
    [ -z "${TARGET:-}" ] || [ "$TARGET" = "$target" ] || continue
    export GOVC_FUZZ_TARGET="$target"
    corpus=fuzz/corpus/$target
    found=$work/found/$target
    [ -z "${PLANT:-}" ] || found=$work/found-planted/$target
    mkdir -p "$found"
    log=$found/log
    words=fuzz/words/$target.dict
    [ -f "$words" ] || words=fuzz/words/all.dict
    set -- -max_len=8192 -timeout=10 -rss_limit_mb=1024 -dict="$words" \
        -artifact_prefix="$found/" -print_final_stats=1
    if [ -n "${PLANT:-}" ]; then plant_target "$@"; else run_target "$@"; fi
done
[ -z "$failed" ]
