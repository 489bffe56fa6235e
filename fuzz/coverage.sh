#!/bin/sh
# Which lines of the parsers the corpus reaches: a table by file. Wants llvm-cov of the LLVM that
# rustc has (`apt-get install llvm-22`).
set -eu
cd "$(dirname "$0")/.."
major=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
work=target/coverage
mkdir -p $work && rm -f $work/*.profraw
# Only our own crates count; the others need not be built again.
printf '#!/bin/sh\nexec "$@" -Cinstrument-coverage\n' > $work/rustc && chmod +x $work/rustc
export RUSTC_WRAPPER= RUSTC_WORKSPACE_WRAPPER="$PWD/$work/rustc"
export LLVM_PROFILE_FILE="$PWD/$work/%p.profraw"
program=$(cargo test --workspace --test corpus --no-run 2>&1 | tee $work/build.log \
    | sed -n "s/.*Executable.*(\(.*\))/\1/p")
rm -f $work/*.profraw
"$program" -q every_input
"llvm-profdata-$major" merge -sparse $work/*.profraw -o $work/merged
"llvm-cov-$major" report "$program" -instr-profile $work/merged \
    --ignore-filename-regex '/\.cargo/|/rustc/|/fuzz/(src|tests)/' "$@"
