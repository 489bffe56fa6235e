//! Every target, and which files its parser is.

use crate::{
    Target, archive, config, engine, gzip, http, json, names, object, orders, pack, settings,
    store, text, webhooks, wire,
};

/// Every target, one for each parser.
pub const TARGETS: &[Target] = &[
    // What clients of Git say.
    Target::new("pktline", wire::pktline, &["git/src/pktline.rs"]),
    Target::new("command", wire::command, &["git/src/wire/command.rs"]),
    Target::new(
        "fetch",
        wire::fetch,
        &[
            "git/src/wire/fetch.rs",
            "git/src/wire/depth.rs",
            "git/src/wire/mod.rs",
        ],
    ),
    Target::new("ls_refs", wire::ls_refs, &["git/src/wire/ls_refs.rs"]),
    Target::new(
        "object_info",
        wire::object_info,
        &["git/src/wire/object_info.rs"],
    ),
    Target::new("filter", wire::filter, &["git/src/wire/filter.rs"]),
    Target::new("upload", wire::upload, &["git/src/wire/upload.rs"]),
    Target::new(
        "receive",
        wire::receive,
        &["git/src/wire/receive.rs", "git/src/wire/push_cert.rs"],
    ),
    Target::new(
        "capabilities",
        wire::capabilities,
        &["git/src/wire/capabilities.rs"],
    ),
    Target::new(
        "ssh_command",
        http::ssh_command,
        &["server/src/git_ssh/command.rs"],
    ),
    Target::new(
        "pack_end",
        http::pack_end,
        &["server/src/git_ssh/pack_end.rs"],
    ),
    Target::new(
        "push_nonce",
        http::push_nonce,
        &["server/src/app/push_nonce.rs"],
    ),
    Target::new("body", gzip::body, &["server/src/git_http/body.rs"]).with_memory(48 << 20),
    // Packs and what lies beside them.
    Target::new(
        "pack",
        pack::pack,
        &[
            "git/src/pack/indexer/chain.rs",
            "git/src/pack/indexer/mod.rs",
            "git/src/pack/indexer/resolve.rs",
            "git/src/pack/indexer/visitor.rs",
            "git/src/pack/reader.rs",
            "git/src/pack/small.rs",
        ],
    )
    .with_memory(8 << 20),
    Target::new(
        "entry_header",
        pack::entry_header,
        &["git/src/pack/entry.rs"],
    ),
    Target::new("delta", pack::delta, &["git/src/pack/delta.rs"]).with_memory(640 << 10),
    Target::new(
        "pack_index",
        pack::index,
        &["git/src/pack/index/mod.rs", "git/src/pack/index/order.rs"],
    ),
    Target::new(
        "commit_graph",
        pack::commit_graph,
        &["git/src/pack/commit_graph/read.rs"],
    ),
    Target::new(
        "graph_packs",
        pack::graph_packs,
        &["git/src/pack/commit_graph/read.rs"],
    ),
    Target::new("inflate", pack::inflate, &["git/src/pack/zlib.rs"]).with_memory(4 << 20),
    // Objects.
    Target::new(
        "commit",
        object::commit,
        &["git/src/object/commit.rs", "git/src/object/header.rs"],
    ),
    Target::new("tag", object::tag, &["git/src/object/tag.rs"]),
    Target::new("tree", object::tree, &["git/src/object/tree.rs"]),
    Target::new(
        "check",
        object::check,
        &[
            "git/src/object/check.rs",
            "git/src/object/check/commit.rs",
            "git/src/object/check/headers.rs",
            "git/src/object/check/tag.rs",
            "git/src/object/check/tree.rs",
        ],
    ),
    Target::new(
        "gitmodules",
        object::gitmodules,
        &["git/src/object/check/gitmodules.rs"],
    ),
    Target::new(
        "signature",
        object::signature,
        &["git/src/object/signature.rs"],
    ),
    Target::new("encoding", text::encoding, &["git/src/encoding.rs"]),
    Target::new("message", object::message, &["git/src/message.rs"]),
    // Names, patterns and other texts of Git.
    Target::new("refname", names::refname, &["git/src/refname.rs"]),
    Target::new("path", names::path, &["git/src/path.rs"]),
    Target::new("ignore", names::ignore, &["git/src/ignore/mod.rs"]),
    Target::new("glob", names::glob, &["git/src/ignore/glob.rs"]),
    Target::new("config", config::config, &["git/src/config.rs"]),
    Target::new(
        "revision",
        engine::revision,
        &["engine/src/work/revision.rs"],
    )
    .with_memory(16 << 20),
    Target::new("sparse", engine::sparse, &["engine/src/pool/filter.rs"]).with_memory(4 << 20),
    Target::new(
        "attributes",
        text::attributes,
        &["git/src/ignore/attributes.rs", "git/src/eol.rs"],
    ),
    Target::new(
        "archive",
        archive::archive,
        &[
            "engine/src/work/archive/attributes.rs",
            "engine/src/work/archive/subst.rs",
        ],
    )
    .with_memory(16 << 20),
    // Texts that are compared and searched.
    Target::new(
        "xdiff",
        text::xdiff,
        &["git/src/xdiff/diff.rs", "git/src/xdiff/merge.rs"],
    )
    .with_memory(1 << 20),
    Target::new(
        "pathspec",
        text::pathspec,
        &["engine/src/work/search/pathspec.rs"],
    )
    .with_memory(16 << 20),
    Target::new(
        "grep_pattern",
        text::grep_pattern,
        &[
            "engine/src/work/search/matcher.rs",
            "engine/src/work/search/trigrams.rs",
        ],
    )
    .with_memory(64 << 20),
    // What is read back from the disk.
    Target::new(
        "log",
        store::log,
        &["store/src/log/read.rs", "store/src/log/record.rs"],
    )
    .with_memory(1 << 20),
    Target::new(
        "entry",
        store::entry,
        &[
            "store/src/format/entry.rs",
            "store/src/format/codec.rs",
            "store/src/format/transactions.rs",
            "store/src/format/workspaces.rs",
        ],
    ),
    Target::new(
        "checkpoint",
        store::checkpoint,
        &[
            "store/src/format/checkpoint.rs",
            "store/src/format/lfs.rs",
            "store/src/format/realities.rs",
            "store/src/format/record.rs",
            "store/src/format/refs.rs",
        ],
    ),
    Target::new("hooks", store::hooks, &["store/src/format/hooks.rs"]),
    Target::new(
        "workspaces",
        store::workspaces,
        &["store/src/format/workspaces.rs"],
    ),
    Target::new(
        "transactions",
        store::transactions,
        &["store/src/format/transactions.rs"],
    ),
    Target::new(
        "realities",
        store::realities,
        &["store/src/format/realities.rs"],
    ),
    Target::new("loose_object", store::loose_object, &["store/src/loose.rs"]).with_memory(4 << 20),
    Target::new("lists", store::lists, &["store/src/format/lists.rs"]),
    Target::new("history", store::history, &["store/src/history/mod.rs"]).with_memory(1 << 20),
    Target::new(
        "reality_history",
        store::reality_history,
        &["store/src/history/realities.rs"],
    )
    .with_memory(1 << 20),
    Target::new(
        "packed_refs",
        store::packed_refs,
        &["store/src/projection.rs"],
    ),
    // What comes over HTTP beside Git.
    Target::new("accept", http::accept, &["server/src/http/accept.rs"]),
    Target::new(
        "webhook_url",
        webhooks::webhook_url,
        &["server/src/app/hooks/guard.rs"],
    ),
    Target::new(
        "verdict",
        webhooks::verdict,
        &["server/src/app/hooks/verdict.rs"],
    ),
    Target::new("range", http::range, &["server/src/http/range.rs"]),
    Target::new("query", http::query, &["server/src/http/query.rs"]),
    Target::new("url_path", http::url_path, &["server/src/http/path.rs"]),
    Target::new(
        "git_path",
        http::git_path,
        &["server/src/git_http/place.rs"],
    ),
    Target::new("lfs_path", http::lfs_path, &["server/src/git_lfs/place.rs"]),
    Target::new("cursor", http::cursor, &["server/src/http/page.rs"]),
    Target::new("etag", http::etag, &["server/src/http/etag.rs"]),
    Target::new("rfc3339", http::rfc3339, &["api/src/rfc3339.rs"]),
    Target::new("lfs_json", json::lfs_json, &["api/src/lfs.rs"]),
    Target::new(
        "json",
        json::json,
        &["api/src/commits.rs", "api/src/refs.rs", "api/src/repos.rs"],
    ),
    Target::new("merge_json", orders::merge_json, &["api/src/merges.rs"]),
    Target::new(
        "reality_json",
        orders::reality_json,
        &["api/src/realities.rs"],
    ),
    Target::new(
        "transaction_json",
        orders::transaction_json,
        &["api/src/transactions.rs", "api/src/hooks.rs"],
    ),
    Target::new(
        "workspace_json",
        orders::workspace_json,
        &["api/src/time_travel.rs", "api/src/workspaces.rs"],
    ),
    Target::new(
        "logged_answer",
        http::logged_answer,
        &["server/src/app/logged.rs"],
    ),
    // What whoever runs a server writes.
    Target::new(
        "configuration",
        settings::configuration,
        &[
            "server/src/config.rs",
            "server/src/config/check.rs",
            "server/src/config/units.rs",
            "server/src/config/yaml.rs",
        ],
    )
    .with_memory(64 << 20),
    Target::new(
        "ssh_keys",
        settings::ssh_keys,
        &["server/src/git_ssh/keys.rs"],
    ),
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
