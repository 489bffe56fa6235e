#!/bin/sh
# How many lines of each parser its own corpus reaches: a table, and a failure where that is less
# than 80 %. Takes the llvm-tools of the LLVM that rustc has: rustup's, or apt's of that number.
# TARGET=name shows the lines of one parser that are not reached.
set -eu
cd "$(dirname "$0")/.."
least=80
. fuzz/needs.sh
need_rust
major=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
if [ -x "$tools/llvm-cov" ]; then
    profdata=$tools/llvm-profdata cov=$tools/llvm-cov
else
    need "llvm-cov-$major" "llvm-$major" "rustup component add llvm-tools"
    profdata=llvm-profdata-$major cov=llvm-cov-$major
fi
work=$PWD/target/coverage
mkdir -p "$work" && rm -f "$work"/*.profraw
# Only our own crates count; the others need not be built again.
printf '#!/bin/sh\nexec "$@" -Cinstrument-coverage\n' > "$work/rustc" && chmod +x "$work/rustc"
RUSTC_WRAPPER='' RUSTC_WORKSPACE_WRAPPER="$work/rustc" LLVM_PROFILE_FILE="$work/build-%p.profraw" \
    cargo build --workspace --bin govc-fuzz
kit=$work/govc-fuzz
cp "${CARGO_TARGET_DIR:-target}/debug/govc-fuzz" "$kit"
export LLVM_PROFILE_FILE="$work/%p.profraw"
failed=
for target in $("$kit" targets); do
    [ -z "${TARGET:-}" ] || [ "$TARGET" = "$target" ] || continue
    files=$("$kit" parser "$target" | sed 's|^|crates/|')
    rm -f "$work"/*.profraw
    "$kit" feed "$target"
    "$profdata" merge -sparse "$work"/*.profraw -o "$work/merged"
    # The files of a parser count together. lcov's LF and LH are a file's lines and those reached.
    # shellcheck disable=SC2086
    "$cov" export "$kit" -instr-profile "$work/merged" -format lcov $files > "$work/lcov"
    awk -F: -v target="$target" -v least=$least '
        /^SF:/ { n = split($2, path, "/"); names = names " " path[n] }
        /^LF:/ { lines += $2 }
        /^LH:/ { reached += $2 }
        END {
            percent = lines ? 100 * reached / lines : 0
            low = percent < least ? " TOO LOW" : ""
            printf "%-14s %5.1f %% of %4d lines%s %s\n", target, percent, lines, low, names
            exit low != ""
        }' "$work/lcov" || failed=1
    [ -z "${TARGET:-}" ] || awk -F'[:,]' '
        /^SF:/ { file = $2 }
        /^DA:/ && $3 == 0 { print file ":" $2 }' "$work/lcov"
done
[ -z "$failed" ]
