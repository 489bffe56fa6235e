#!/bin/sh
# Inputs that git and govc themselves make, into corpus/: seeds.sh GOVC, where GOVC is the program.
# Those of govc's own formats that have something of everything are made by `govc-fuzz seeds`. What
# is written by hand lies there beside them; what the fuzzer found is called by its hash.
set -eu
govc=$(realpath "$1")
corpus=$(cd "$(dirname "$0")" && pwd)/corpus
work=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT
server=
cd "$work"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org GIT_AUTHOR_DATE='1700000000 +0130'
export GIT_COMMITTER_NAME=Bob GIT_COMMITTER_EMAIL=bob@example.org GIT_COMMITTER_DATE='1700000000 -0000'
put() { mkdir -p "$corpus/$1"; cat > "$corpus/$1/$2"; }

for format in sha1 sha256; do
    flag=$([ $format = sha1 ] && echo '\000' || echo '\001')
    check=$([ $format = sha1 ] && echo '\0' || echo '\200')
    git init -q -b main --object-format=$format $format
    cd $format
    # A history with a delta, a folder, a link, a submodule, a merge of three and a tag of a tag.
    seq 1 300 > numbers; mkdir -p a; echo '*.o' > a/.gitignore; ln -s numbers link; chmod +x numbers
    printf '[submodule "s"]\n\tpath = s\n\turl = https://example.org/s\n' > .gitmodules
    git add . && git commit -q -m 'First

With a body.'
    for branch in x y; do
        git checkout -q -b $branch main && echo $branch > $branch && git add . && git commit -q -m $branch
    done
    git checkout -q main && seq 1 301 > numbers && git commit -qam Second
    git merge -q --no-edit x y >/dev/null
    git -c i18n.commitEncoding=latin1 commit -q --allow-empty -m Encoded
    git tag -a v1 -m 'One' && git tag -a v2 v1 -m 'Two' 2>/dev/null
    git repack -qadf --depth=10
    { printf "$flag"; cat .git/objects/pack/pack-*.pack; } | put pack git-$format
    put pack_index git-$format < "$(ls .git/objects/pack/pack-*.idx)"
    git commit-graph write --reachable 2>/dev/null
    put commit_graph git-$format < .git/objects/info/commit-graph
    printf '%s\n' main~2 | git pack-objects --thin --revs --stdout -q > ../thin.pack
    { printf "$flag"; cat ../thin.pack; } | put pack part-$format
    for object in "commit main" "commit main~1" "tree main^{tree}" "tag v1" "tag v2"; do
        kind=${object% *} name=${object#* }
        file=$(echo "$name" | tr -dc 'a-z0-9')-$format
        git cat-file $kind "$name" | put $kind $file
        n=$(case $kind in commit) echo 0 ;; tree) echo 1 ;; tag) echo 2 ;; esac)
        c=$([ $format = sha1 ] && echo "\\00$n" || echo "\\20$n")
        { printf "$c"; git cat-file $kind "$name"; } | put check $file
    done
    git pack-refs --all
    { cat .git/HEAD | tr -d '\n'; echo; cat .git/packed-refs; } | put packed_refs git-$format
    cd ..
done

# What govc leaves on its disk.
port=$(( 20000 + $$ % 20000 ))
"$govc" serve --listen 127.0.0.1:$port --data "$work/data" >/dev/null 2>&1 &
server=$!
api=http://127.0.0.1:$port/api/v1/repos
for _ in $(seq 100); do curl -sf $api >/dev/null && break; sleep 0.1; done
post() { curl -sf -X POST -H 'content-type: application/json' -d "$2" $api$1 >/dev/null; }
post '' '{"id":"hello","description":"h","settings":{}}' || post '' '{"id":"hello","description":"h"}'
git -C sha1 push -q http://127.0.0.1:$port/hello.git main v1 v2
post /hello/commits '{"branch":"main","message":"m","author":{"name":"A","email":"a@b"},"actions":[{"op":"put","path":"new","content":"n"}]}'
post /hello/branches '{"name":"b","ref":"main"}'
post /hello/forks '{"id":"fork"}' || true
curl -sf -X DELETE $api/hello/branches/b >/dev/null
kill $server; wait $server || true
server=
for log in data/.govc/log/*.log; do
    { head -c 60 "$log"; tail -c +4097 "$log" | sed '$s/\x00*$//' | head -c 6000; } | put log govc-$(basename "$log" .log | tail -c 3)
done
for repo in data/*.git; do
    name=$(basename "$repo" .git)
    for file in checkpoint lists; do
        [ -s "$repo/govc/$file" ] && put $file govc-$name < "$repo/govc/$file"
    done
    for file in "$repo"/govc/history-*; do
        [ -s "$file" ] && put history govc-$name < "$file"
    done
done
# And what has something of everything.
(cd "$corpus" && cargo run --quiet --workspace --bin govc-fuzz -- seeds "$corpus")
