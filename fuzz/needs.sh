# What the scripts here need of the machine: what is missing is installed where apt-get may, and else
# said. Not run but read: `. fuzz/needs.sh`.

# Rust itself comes from rustup, which is nobody's to install but the user's.
need_rust() {
    for program in cargo rustc; do
        command -v "$program" >/dev/null || {
            echo "$0: there is no $program: install stable Rust, see https://rustup.rs" >&2
            exit 2
        }
    done
}

# need PROGRAM PACKAGE [OTHERWISE]: the program, from that package of apt's.
need() {
    command -v "$1" >/dev/null && return
    as=
    [ "$(id -u)" = 0 ] || as="sudo -n"
    if command -v apt-get >/dev/null; then
        echo "$0: there is no $1: installing $2" >&2
        { $as apt-get update -q && $as apt-get install -qy --no-install-recommends "$2"; } >&2 || true
    fi
    command -v "$1" >/dev/null && return
    echo "$0: there is no $1: apt-get install $2${3:+, or $3}, or whatever brings it here" >&2
    exit 2
}
