#!/bin/sh
# The steps of the matrix (../main.rs) in git's own words.
set -eu
step=$1
shift
case $step in
ls-remote) git ls-remote --refs "$1" ;;
clone) git clone -q "$1" "$2" ;;
clone-branch) git clone -q --single-branch --branch "$3" "$1" "$2" ;;
clone-depth) git clone -q --depth "$3" --no-tags "$1" "$2" ;;
clone-filter) git clone -q --no-checkout --filter "$3" "$1" "$2" ;;
fetch) git -C "$1" fetch -q --tags ;;
deepen) git -C "$1" fetch -q --depth "$2" --no-tags ;;
unshallow) git -C "$1" fetch -q --unshallow --no-tags ;;
push)
    dir=$1 url=$2
    shift 2
    flags=
    while [ $# -gt 0 ]; do
        case $1 in
        --*) flags="$flags $1" ;;
        *) break ;;
        esac
        shift
    done
    # shellcheck disable=SC2086
    git -C "$dir" push -q $flags "$url" "$@"
    ;;
*) echo "no step $step" >&2; exit 2 ;;
esac
