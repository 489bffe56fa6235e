//! What one commit of one file costs, without the door: `cargo run --release --example commits`.
//!
//! Prints CPU time per commit for making the proposal (the blob), for deciding it (trees and
//! commit), and for the pool to take it in.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for developers: it prints, and fails by panicking"
)]

use std::sync::Arc;

use bytes::Bytes;
use govc_engine::pool::{Pool, PoolLimits};
use govc_engine::work::View;
use govc_engine::work::action::{Action, Content};
use govc_engine::work::commit::{CommitRequest, NewCommitOnBranch, Start};
use govc_engine::{Cause, CauseKind, Expected, ObjectBody, RefName, Refs, Target, Time, Via};
use govc_git::ObjectFormat;
use govc_git::object::{GitTime, Signature};

fn main() {
    let commits = std::env::args()
        .nth(1)
        .map_or(100_000, |count| count.parse().unwrap());
    let only = std::env::args().nth(2);
    let measure = |name: &str, files, commits, path: &dyn Fn(usize) -> String| {
        if only.as_ref().is_none_or(|only| name.starts_with(only)) {
            measure(name, files, commits, path);
        }
    };
    let nested = |n: usize| format!("{}/{}/{}", n % 10, n / 10 % 10, n / 100 % 10);
    measure("nested 1,000", 1_000, commits, &nested);
    measure("flat 1,000", 1_000, commits / 5, &|n| {
        (n % 1_000).to_string()
    });
    measure("flat 10,000", 10_000, commits / 50, &|n| {
        (n % 10_000).to_string()
    });
}

fn measure(name: &str, files: usize, commits: usize, path: impl Fn(usize) -> String) {
    let pool = Pool::new(ObjectFormat::Sha1, PoolLimits::default());
    let mut refs = Refs::default();
    let branch = RefName::branch("main");
    refs.set(RefName::head(), Target::Symbolic(branch));
    let mut costs = [0u64; 3];
    let mut kept = 0;
    let first: Vec<Action> = (0..files).map(|n| put(&path(n), n)).collect();
    commit(&pool, &mut refs, first, &mut costs);
    let mut costs = [0u64; 3];
    for number in 1..=commits {
        let file = number.wrapping_mul(7919) % files;
        let actions = vec![put(&path(file), number + files)];
        kept += commit(&pool, &mut refs, actions, &mut costs);
    }
    let [propose, decide, insert] = costs.map(|ns| ns as f64 / commits as f64 / 1000.0);
    let rate = 1e6 / (propose + decide + insert);
    println!(
        "{name:13} {rate:9.0} commits per CPU-s   blob {propose:.2} µs, trees and commit {decide:.2} µs, \
         pool {insert:.2} µs   {} B per commit",
        kept / commits
    );
}

fn put(path: &str, number: usize) -> Action {
    Action::Put {
        path: path.into(),
        content: Content::Bytes(Bytes::from(format!("{number:0100}"))),
        mode: None,
    }
}

/// Makes one commit; answers the bytes of its objects.
fn commit(pool: &Arc<Pool>, refs: &mut Refs, actions: Vec<Action>, costs: &mut [u64; 3]) -> usize {
    let time = GitTime {
        seconds: 1_700_000_000,
        offset_minutes: 0,
        negative_zero: false,
    };
    let ada = Signature::new(b"Ada Lovelace", b"ada@example.org", time).unwrap();
    let request = CommitRequest {
        branch: RefName::branch("main"),
        start: Start::Existing,
        expected: Expected::Anything,
        actions,
        message: b"change a file\n".to_vec(),
        author: ada.clone(),
        committer: ada,
        allow_empty: true,
        file_bytes_max: 1 << 20,
        cause: Cause {
            kind: CauseKind::Commit,
            actor: "ada".into(),
            via: Via::Rest,
            request_id: "1".into(),
            reason: None,
            idempotency: None,
        },
    };
    let view = View::of_refs(Arc::clone(pool), refs.clone(), 0, Time(0));
    let start = cpu_ns();
    let mut proposal = NewCommitOnBranch::new(&view, request).unwrap();
    let receipt = proposal.receipt();
    let proposed = cpu_ns();
    let change = proposal.propose(refs, pool).unwrap();
    let decided = cpu_ns();
    pool.insert(&change.objects.inline).unwrap();
    let inserted = cpu_ns();
    refs.set(
        RefName::branch("main"),
        Target::At(receipt.take().unwrap().id),
    );
    for (cost, (from, to)) in
        costs
            .iter_mut()
            .zip([(start, proposed), (proposed, decided), (decided, inserted)])
    {
        *cost += to - from;
    }
    let bytes = |body: &ObjectBody| match body {
        ObjectBody::Whole(data) => data.len(),
        ObjectBody::Delta { delta, .. } => delta.len(),
        ObjectBody::Elsewhere => 0,
    };
    change
        .objects
        .inline
        .iter()
        .map(|object| bytes(&object.body))
        .sum()
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
