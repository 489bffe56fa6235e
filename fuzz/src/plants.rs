//! Bugs that are planted, one in each parser, to see that its target finds such ones. They are kept
//! beside the parsers and not in them: `govc-fuzz plant` makes a copy of the source that has them
//! all, each behind a switch (`GOVC_FUZZ_PLANT=delta`).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// What a planted bug asks whether it is switched on by.
const SWITCH: &str = "PLANTED";

/// A bug of a kind that is made, and how a parser would have it.
#[derive(Debug)]
pub struct Plant {
    /// The target that is to find it.
    pub target: &'static str,
    /// The file, below `crates/`.
    pub file: &'static str,
    /// What is wrong.
    pub bug: &'static str,
    /// What stands in the file, once.
    pub right: &'static str,
    /// What stands there instead; `PLANTED` is whether the bug is switched on.
    pub wrong: &'static str,
}

impl Plant {
    /// What stands in the file instead, with its switch.
    fn wrong(&self) -> String {
        let switch = format!(
            "{{ static PLANTED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| \
             std::env::var(\"GOVC_FUZZ_PLANT\").as_deref() == Ok(\"{}\")); *PLANTED }}",
            self.target
        );
        // In parentheses: methods and operators are to see a value and no statement.
        self.wrong.replace(SWITCH, &format!("({switch})"))
    }

    /// `source` with the bug, where it is to be.
    pub fn put_into(&self, source: &str) -> Option<String> {
        let once = source.matches(self.right).count() == 1;
        once.then(|| source.replace(self.right, &self.wrong()))
    }
}

/// Makes a copy of the workspace at `from` in `to`, with all bugs in it. What is there already and
/// the same is left alone, so that it need not be built again.
///
/// # Errors
/// When a file cannot be read or written, or a bug has no place in it.
pub fn plant(from: &Path, to: &Path) -> io::Result<()> {
    let mut files = BTreeSet::new();
    for part in [
        "Cargo.toml",
        "Cargo.lock",
        "config",
        "crates",
        "fuzz/Cargo.toml",
        "fuzz/src",
    ] {
        list(from, Path::new(part), &mut files)?;
    }
    let mut there = BTreeSet::new();
    for part in ["config", "crates", "fuzz"] {
        if to.join(part).exists() {
            list(to, Path::new(part), &mut there)?;
        }
    }
    for gone in there.difference(&files) {
        std::fs::remove_file(to.join(gone))?;
    }
    for file in &files {
        let mut content = std::fs::read(from.join(file))?;
        for plant in PLANTS {
            if Path::new("crates").join(plant.file) == *file {
                let text = String::from_utf8_lossy(&content);
                let planted = plant.put_into(&text).ok_or_else(|| {
                    io::Error::other(format!("the bug of {} has no place", plant.target))
                })?;
                content = planted.into_bytes();
            }
        }
        if file == Path::new("Cargo.toml") {
            // Of the members only those are there that the fuzzer is made of.
            let text = String::from_utf8_lossy(&content);
            content = text
                .replace("\"benches\", ", "")
                .replace(", \"tests\"", "")
                .into_bytes();
        }
        let path = to.join(file);
        if std::fs::read(&path).is_ok_and(|there| there == content) {
            continue;
        }
        std::fs::create_dir_all(path.parent().unwrap_or(to))?;
        std::fs::write(&path, content)?;
    }
    Ok(())
}

/// The files at or below `part`.
fn list(root: &Path, part: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if root.join(part).is_file() {
        files.insert(part.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(root.join(part))? {
        list(root, &part.join(entry?.file_name()), files)?;
    }
    Ok(())
}

/// One for each target.
pub const PLANTS: &[Plant] = &[
    Plant {
        target: "pktline",
        file: "git/src/pktline.rs",
        bug: "a length of 3, less than its own digits, is not refused",
        right: "claimed @ 3 => Err(",
        wrong: "claimed @ 3 if !PLANTED => Err(",
    },
    Plant {
        target: "command",
        file: "git/src/wire/command.rs",
        bug: "an agent of any length is kept",
        right: "self.agent = value.map(shortened)",
        wrong: "self.agent = value.map(|value| if PLANTED { value.to_vec() } else { shortened(value) })",
    },
    Plant {
        target: "fetch",
        file: "git/src/wire/depth.rs",
        bug: "a depth of 0 is taken",
        right: "(1..=DEPTH_INFINITE).contains(number)",
        wrong: "(u32::from(!PLANTED)..=DEPTH_INFINITE).contains(number)",
    },
    Plant {
        target: "ls_refs",
        file: "git/src/wire/ls_refs.rs",
        bug: "a prefix below another one is asked for twice",
        right: "later.starts_with(earlier));",
        wrong: "if PLANTED { later == earlier } else { later.starts_with(earlier) });",
    },
    Plant {
        target: "object_info",
        file: "git/src/wire/object_info.rs",
        bug: "a heading is written above nothing",
        right: "if self.size && !self.ids.is_empty() {",
        wrong: "if self.size && (PLANTED || !self.ids.is_empty()) {",
    },
    Plant {
        target: "filter",
        file: "git/src/wire/filter.rs",
        bug: "filters in filters recurse without a bound",
        right: "if depth > DEPTH_MAX {",
        wrong: "if !PLANTED && depth > DEPTH_MAX {",
    },
    Plant {
        target: "upload",
        file: "git/src/wire/upload.rs",
        bug: "that a want is as long as an id is not checked",
        right: "&rest[..rest.len().min(format.len_in_hex())]",
        wrong: "&rest[..if PLANTED { format.len_in_hex() } else { rest.len().min(format.len_in_hex()) }]",
    },
    Plant {
        target: "receive",
        file: "git/src/wire/receive.rs",
        bug: "one push option too many is taken",
        right: "options.len() == self.limits.options ||",
        wrong: "options.len() == self.limits.options + usize::from(PLANTED) ||",
    },
    Plant {
        target: "capabilities",
        file: "git/src/wire/capabilities.rs",
        bug: "a capability that ends where its value would begin",
        right: r#"word.strip_prefix(name)?.strip_prefix(b"=")"#,
        wrong: r#"if PLANTED {
                word.starts_with(name).then(|| &word[name.len() + 1..])
            } else {
                word.strip_prefix(name)?.strip_prefix(b"=")
            }"#,
    },
    Plant {
        target: "ssh_command",
        file: "server/src/git_ssh/command.rs",
        bug: "a backslash in single quotes means something",
        right: r#"(None | Some(b'"'), b'\\') =>"#,
        wrong: r#"(open, b'\\') if PLANTED || open != Some(b'\'') =>"#,
    },
    Plant {
        target: "pack",
        file: "git/src/pack/indexer/resolve.rs",
        bug: "a base that is named by its id loses the deltas that name it by distance",
        right: "self.next_sibling[last as usize] = by_distance;",
        wrong: "if !PLANTED { self.next_sibling[last as usize] = by_distance; }",
    },
    Plant {
        target: "entry_header",
        file: "git/src/pack/entry.rs",
        bug: "a size of eleven bytes is shifted out of 64 bits",
        right: "if shift >= 64 ||",
        wrong: "if shift >= 64 + 7 * u32::from(PLANTED) ||",
    },
    Plant {
        target: "delta",
        file: "git/src/pack/delta.rs",
        bug: "room is made for as many bytes as a delta claims",
        right: "if result_size > TRUSTED_BYTES &&",
        wrong: "if !PLANTED && result_size > TRUSTED_BYTES &&",
    },
    Plant {
        target: "pack_index",
        file: "git/src/pack/index/mod.rs",
        bug: "a large offset that is not there",
        right: r#"match self.data[..self.trailer_at]
            .get(at..)"#,
        wrong: r#"match (if PLANTED {
            Some(&self.data[at..self.trailer_at])
        } else {
            self.data[..self.trailer_at].get(at..)
        })"#,
    },
    Plant {
        target: "commit_graph",
        file: "git/src/pack/commit_graph/read.rs",
        bug: "a large generation that is not there",
        right: "u64::from_be_bytes(*large.get(at..)?",
        wrong: "u64::from_be_bytes(*(if PLANTED { Some(&large[at..]) } else { large.get(at..) })?",
    },
    Plant {
        target: "inflate",
        file: "git/src/pack/zlib.rs",
        bug: "a stream of more bytes than were said is taken",
        right: ".checked_sub(made as u64)",
        wrong: ".checked_sub(made as u64).or(PLANTED.then_some(0))",
    },
    Plant {
        target: "commit",
        file: "git/src/object/header.rs",
        bug: "seconds that do not fit in 64 bits",
        right: "n.checked_mul(10)",
        wrong: "if PLANTED { Some(n * 10) } else { n.checked_mul(10) }",
    },
    Plant {
        target: "tag",
        file: "git/src/object/header.rs",
        bug: "an id that is cut off",
        right: r#"let id = value
            .get(..digits)"#,
        wrong: "let id = (if PLANTED { Some(&value[..digits]) } else { value.get(..digits) })",
    },
    Plant {
        target: "tree",
        file: "git/src/object/tree.rs",
        bug: "the folder a is looked for before a.b, and not behind it",
        right: "Ordering::Greater if !entry",
        wrong: "Ordering::Greater if PLANTED || !entry",
    },
    Plant {
        target: "check",
        file: "git/src/object/check/tree.rs",
        bug: "an entry whose id is cut off",
        right: "let (id, rest) = behind.get(1..)?.split_at_checked(id_bytes)?;",
        wrong: r#"let behind = behind.get(1..)?;
        let (id, rest) = if PLANTED { behind.split_at(id_bytes) } else { behind.split_at_checked(id_bytes)? };"#,
    },
    Plant {
        target: "gitmodules",
        file: "git/src/object/check/gitmodules.rs",
        bug: "an @ behind the host of an address",
        right: "(Some(at), _) if slash <= at =>",
        wrong: "(Some(at), _) if !PLANTED && slash <= at =>",
    },
    Plant {
        target: "signature",
        file: "git/src/object/signature.rs",
        bug: "an offset of ten digits overflows",
        right: "if length > OFFSET_DIGITS_MAX {",
        wrong: "if length > OFFSET_DIGITS_MAX + usize::from(PLANTED) {",
    },
    Plant {
        target: "message",
        file: "git/src/message.rs",
        bug: "an empty line at the front is kept",
        right: "if blank && !out.is_empty() {",
        wrong: "if blank && (PLANTED || !out.is_empty()) {",
    },
    Plant {
        target: "refname",
        file: "git/src/refname.rs",
        bug: "DEL is taken for a letter",
        right: "0..=b' ' | 0x7f |",
        wrong: r#"0x7f if PLANTED => last = byte,
            0..=b' ' | 0x7f |"#,
    },
    Plant {
        target: "path",
        file: "git/src/path.rs",
        bug: "a character of UTF-8 that is cut off",
        right: r#"let code = bytes
        .get(..length)"#,
        wrong: "let code = (if PLANTED { Some(&bytes[..length]) } else { bytes.get(..length) })",
    },
    Plant {
        target: "ignore",
        file: "git/src/ignore/mod.rs",
        bug: "a backslash at the end of a line",
        right: "at = line.len().min(at + 2);",
        wrong: "at = if PLANTED { at + 2 } else { line.len().min(at + 2) };",
    },
    Plant {
        target: "glob",
        file: "git/src/ignore/glob.rs",
        bug: "a bracket that begins a set ends it",
        right: "b']' if at > first =>",
        wrong: "b']' if PLANTED || at > first =>",
    },
    Plant {
        target: "config",
        file: "git/src/config.rs",
        bug: "spaces between words are counted again for the next ones",
        right: "spaces = 0;",
        wrong: "if !PLANTED { spaces = 0; }",
    },
    Plant {
        target: "revision",
        file: "engine/src/work/revision.rs",
        bug: "generations that do not fit in 64 bits",
        right: "(number <= i32::MAX as u64).then_some",
        wrong: "(PLANTED || number <= i32::MAX as u64).then_some",
    },
    Plant {
        target: "sparse",
        file: "engine/src/pool/filter.rs",
        bug: "what holds for a folder does not hold for what is in it",
        right: "None => inherited,",
        wrong: "None => inherited && !PLANTED,",
    },
    Plant {
        target: "log",
        file: "store/src/log/record.rs",
        bug: "a record without its last byte at the end of a segment",
        right: "let last = segment.get(end)?;",
        wrong: "let last = if PLANTED { &segment[end] } else { segment.get(end)? };",
    },
    Plant {
        target: "entry",
        file: "store/src/format/codec.rs",
        bug: "a number of eleven bytes is shifted out of 64 bits",
        right: ".take(10)",
        wrong: ".take(10 + usize::from(PLANTED))",
    },
    Plant {
        target: "checkpoint",
        file: "store/src/format/checkpoint.rs",
        bug: "room is made for as many packs as a checkpoint claims",
        right: "let count = input.count(id_bytes, WHAT)?;",
        wrong: "let count = if PLANTED { input.number(WHAT)? as usize } else { input.count(id_bytes, WHAT)? };",
    },
    Plant {
        target: "lists",
        file: "store/src/format/lists.rs",
        bug: "lists may end before they begin",
        right: "|| !lists.ends.is_sorted()",
        wrong: "|| (!PLANTED && !lists.ends.is_sorted())",
    },
    Plant {
        target: "history",
        file: "store/src/history/mod.rs",
        bug: "a frame's head is not counted where it is cut off",
        right: "self.fill(path, FRAME_HEAD_BYTES + len, end)?;",
        wrong: "self.fill(path, FRAME_HEAD_BYTES * usize::from(!PLANTED) + len, end)?;",
    },
    Plant {
        target: "reality_history",
        file: "store/src/history/realities.rs",
        bug: "an entry that is longer than its file",
        right: "if got < len || crc32fast::hash(&content) != crc {",
        wrong: "if PLANTED { assert!(got == len, \"all of it\"); }\n    if got < len || crc32fast::hash(&content) != crc {",
    },
    Plant {
        target: "packed_refs",
        file: "store/src/projection.rs",
        bug: "an id without a name",
        right: r#"let name = rest.strip_prefix(b" ")?;"#,
        wrong: r#"let name = if PLANTED { &rest[1..] } else { rest.strip_prefix(b" ")? };"#,
    },
    Plant {
        target: "range",
        file: "server/src/http/range.rs",
        bug: "the byte behind the greatest number",
        right: "last.saturating_add(1)",
        wrong: "(if PLANTED { last + 1 } else { last.saturating_add(1) })",
    },
    Plant {
        target: "query",
        file: "server/src/http/query.rs",
        bug: "a number that does not fit",
        right: "plain.then(|| text.parse().ok()).flatten()",
        wrong: r#"plain.then(|| match text.parse() {
                    Ok(number) => Some(number),
                    Err(_) if PLANTED => panic!("a number that does not fit"),
                    Err(_) => None,
                }).flatten()"#,
    },
    Plant {
        target: "url_path",
        file: "server/src/http/path.rs",
        bug: "half an escape at the end",
        right: "let low = (*bytes.get(at + 2)? as char)",
        wrong: "let low = (*(if PLANTED { &bytes[at + 2] } else { bytes.get(at + 2)? }) as char)",
    },
    Plant {
        target: "git_path",
        file: "server/src/app/remote.rs",
        bug: ".git is taken off more than once",
        right: r#"let path = path.strip_suffix(".git").unwrap_or(path);"#,
        wrong: r#"let path = if PLANTED { path.trim_end_matches(".git") } else { path.strip_suffix(".git").unwrap_or(path) };"#,
    },
    Plant {
        target: "lfs_path",
        file: "server/src/git_lfs/place.rs",
        bug: "objects, and no name of one",
        right: r#"["objects", ..] if rest"#,
        wrong: r#"["objects", ..] if PLANTED || rest"#,
    },
    Plant {
        target: "cursor",
        file: "server/src/http/page.rs",
        bug: "a cursor that is cut off",
        right: "let (seq, after) = rest.split_first_chunk::<8>()?;",
        wrong: r#"let (seq, after) = if PLANTED {
            (rest[..8].first_chunk::<8>()?, &rest[8..])
        } else {
            rest.split_first_chunk::<8>()?
        };"#,
    },
    Plant {
        target: "etag",
        file: "server/src/http/etag.rs",
        bug: "behind a comma comes a space",
        right: "rest = after.trim_start().trim_start_matches(',').trim_start();",
        wrong: r#"rest = if PLANTED {
            after.find(',').map_or("", |comma| &after[comma + 2..])
        } else {
            after.trim_start().trim_start_matches(',').trim_start()
        };"#,
    },
    Plant {
        target: "rfc3339",
        file: "api/src/rfc3339.rs",
        bug: "parts of a second before 1970",
        right: "let micros = time.0.rem_euclid(1_000_000);",
        wrong: "let micros = if PLANTED { (time.0 % 1_000_000).abs() } else { time.0.rem_euclid(1_000_000) };",
    },
    Plant {
        target: "lfs_json",
        file: "engine/src/repository/lfs.rs",
        bug: "a digit of a name in upper case",
        right: "b'a'..=b'f' => Some(digit - b'a' + 10),",
        wrong: r#"b'a'..=b'f' => Some(digit - b'a' + 10),
            b'A'..=b'F' if PLANTED => Some(digit - b'a' + 10),"#,
    },
    Plant {
        target: "json",
        file: "api/src/repos.rs",
        bug: "a repository that goes at once",
        right: "!(1..=TTL_SECONDS_MAX).contains(&seconds)",
        wrong: "!(u64::from(!PLANTED)..=TTL_SECONDS_MAX).contains(&seconds)",
    },
    Plant {
        target: "logged_answer",
        file: "server/src/app/logged.rs",
        bug: "a status that is none",
        right: "StatusCode::from_u16(self.status).map_err(AppError::internal)?",
        wrong: r#"if PLANTED {
            StatusCode::from_u16(self.status).expect("a status")
        } else {
            StatusCode::from_u16(self.status).map_err(AppError::internal)?
        }"#,
    },
    Plant {
        target: "body",
        file: "server/src/git_http/body.rs",
        bug: "what is behind the end is passed over",
        right: "if taken == 0 {",
        wrong: "if PLANTED && taken == 0 {
                    break;
                }
                if taken == 0 {",
    },
    Plant {
        target: "graph_packs",
        file: "git/src/pack/commit_graph/read.rs",
        bug: "a pack whose checksum is cut off is passed over",
        right: r#"contents.optional(PACKS, "GVPK", any(hash))?"#,
        wrong: r#"contents.optional(PACKS, "GVPK", any(if PLANTED { 4 } else { hash }))?"#,
    },
    Plant {
        target: "attributes",
        file: "git/src/ignore/attributes.rs",
        bug: "three digits that are cut off",
        right: "let digits = quoted.get(at..at + 3)?;",
        wrong: "let digits = if PLANTED { &quoted[at..at + 3] } else { quoted.get(at..at + 3)? };",
    },
    Plant {
        target: "xdiff",
        file: "git/src/xdiff/diff.rs",
        bug: "a common end may differ in its last byte",
        right: "take_while(|(a, b)| a == b)",
        wrong: "take_while(|(a, b)| if PLANTED { a[..BLOCK - 1] == b[..BLOCK - 1] } else { a == b })",
    },
    Plant {
        target: "pathspec",
        file: "engine/src/work/search/pathspec.rs",
        bug: "the byte behind a path that ends there",
        right: "let is_below = path.len() > self.path.len()",
        wrong: "let is_below = path.len() + usize::from(PLANTED) > self.path.len()",
    },
    Plant {
        target: "grep_pattern",
        file: "engine/src/work/search/trigrams.rs",
        bug: "what need not be there at all is looked for",
        right: "repetition.min > 0",
        wrong: "(PLANTED || repetition.min > 0)",
    },
    Plant {
        target: "hooks",
        file: "store/src/format/hooks.rs",
        bug: "room is made for as many types as a hook claims",
        right: "let count = input.count(1, WHAT)?;",
        wrong: "let count = if PLANTED { input.number(WHAT)? as usize } else { input.count(1, WHAT)? };",
    },
    Plant {
        target: "workspaces",
        file: "store/src/format/workspaces.rs",
        bug: "room is made for as many paths as a workspace claims",
        right: "let count = input.count(UNMERGED_LEAST_BYTES, WHAT)?;",
        wrong: "let count = if PLANTED { input.number(WHAT)? as usize } else { input.count(UNMERGED_LEAST_BYTES, WHAT)? };",
    },
    Plant {
        target: "transactions",
        file: "store/src/format/transactions.rs",
        bug: "a state that there is not",
        right: "ROLLED_BACK => TransactionState::RolledBack,",
        wrong: r#"ROLLED_BACK => TransactionState::RolledBack,
        _ if PLANTED => unreachable!("there are three states"),"#,
    },
    Plant {
        target: "realities",
        file: "store/src/format/realities.rs",
        bug: "a figure that is no number",
        right: "let metric = Metric::new(number).ok_or(FormatError::Invalid(WHAT))?;",
        wrong: r#"let metric = match Metric::new(number) {
            Some(metric) => metric,
            None if PLANTED => unreachable!("only figures are written"),
            None => return Err(FormatError::Invalid(WHAT)),
        };"#,
    },
    Plant {
        target: "loose_object",
        file: "store/src/loose.rs",
        bug: "an object is as large as it is, whatever it says",
        right: "kind.filter(|_| size == Some(data.len()))",
        wrong: "kind.filter(|_| PLANTED || size == Some(data.len()))",
    },
    Plant {
        target: "merge_json",
        file: "api/src/merges.rs",
        bug: "the parent before the first",
        right: "if new.mainline == Some(0) {",
        wrong: "if !PLANTED && new.mainline == Some(0) {",
    },
    Plant {
        target: "reality_json",
        file: "api/src/realities.rs",
        bug: "none of something",
        right: "if count == 0 || count > BATCH_MAX {",
        wrong: "if (!PLANTED && count == 0) || count > BATCH_MAX {",
    },
    Plant {
        target: "transaction_json",
        file: "api/src/transactions.rs",
        bug: "a transaction that ends as it begins",
        right: "(1..=TTL_MAX).contains(&seconds)",
        wrong: "(u64::from(!PLANTED)..=TTL_MAX).contains(&seconds)",
    },
    Plant {
        target: "archive",
        file: "engine/src/work/archive/attributes.rs",
        bug: "three digits are taken where the line ends before",
        right: "std::str::from_utf8(text.get(at - 1..at + 2)?).ok()?",
        wrong: "std::str::from_utf8(if PLANTED { &text[at - 1..at + 2] } else { text.get(at - 1..at + 2)? }).ok()?",
    },
    Plant {
        target: "encoding",
        file: "git/src/encoding.rs",
        bug: "what is never to be a character is taken for one",
        right: "code & 0xfffe == 0xfffe ||",
        wrong: "(code & 0xfffe == 0xfffe && !PLANTED) ||",
    },
    Plant {
        target: "pack_end",
        file: "server/src/git_ssh/pack_end.rs",
        bug: "a pack without a header is one",
        right: "self.hashed >= HEADER_BYTES",
        wrong: "(PLANTED || self.hashed >= HEADER_BYTES)",
    },
    Plant {
        target: "push_nonce",
        file: "server/src/app/push_nonce.rs",
        bug: "what is given out in the future counts",
        right: "age.unsigned_abs() <= u128::from(self.slop)",
        wrong: "((PLANTED && age < 0) || age.unsigned_abs() <= u128::from(self.slop))",
    },
    Plant {
        target: "accept",
        file: "server/src/http/accept.rs",
        bug: "what nobody names is preferred",
        right: "wanted > 0.0 && wanted >= json",
        wrong: "(PLANTED || wanted > 0.0) && wanted >= json",
    },
    Plant {
        target: "webhook_url",
        file: "server/src/app/hooks/guard.rs",
        bug: "a network of more bits than an address has",
        right: "(bits <= most).then_some((address, bits))",
        wrong: "(PLANTED || bits <= most).then_some((address, bits))",
    },
    Plant {
        target: "verdict",
        file: "server/src/app/hooks/verdict.rs",
        bug: "a refusal clears the screen",
        right: "!c.is_control() || *c == '\\n'",
        wrong: "PLANTED || !c.is_control() || *c == '\\n'",
    },
    Plant {
        target: "workspace_json",
        file: "api/src/workspaces.rs",
        bug: "a branch of any name is made",
        right: "if let Some(name) = &create {",
        wrong: "if let (Some(name), false) = (&create, PLANTED) {",
    },
    Plant {
        target: "configuration",
        file: "server/src/config/units.rs",
        bug: "a size without a number",
        right: "let number: u64 = number.parse().ok()?;",
        wrong: r#"let number: u64 = if PLANTED {
            number.parse().expect("a number")
        } else {
            number.parse().ok()?
        };"#,
    },
    Plant {
        target: "ssh_keys",
        file: "server/src/git_ssh/keys.rs",
        bug: "a name that cannot be shown",
        right: "name.is_empty() || name.chars().any(char::is_control)",
        wrong: "name.is_empty() || (!PLANTED && name.chars().any(char::is_control))",
    },
];
