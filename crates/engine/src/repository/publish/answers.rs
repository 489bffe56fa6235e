//! Answers to those who proposed.

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{PublishError, Published};

/// Where the answer to a proposal goes.
pub(super) struct Reply {
    to: oneshot::Sender<Result<Published, PublishError>>,
    /// Where whoever waits for it runs.
    runtime: Option<Handle>,
}

impl Reply {
    pub(super) fn new() -> (Reply, oneshot::Receiver<Result<Published, PublishError>>) {
        let (to, answer) = oneshot::channel();
        let runtime = Handle::try_current().ok();
        (Reply { to, runtime }, answer)
    }

    pub(super) fn send(self, answer: Result<Published, PublishError>) {
        // Nobody listens when the client went away: what was decided stands all the same.
        let _ = self.to.send(answer);
    }
}

/// Answers that are sent together, when this is dropped.
///
/// Sent one by one from outside of a runtime each would wake one of its threads, which does what
/// little there is to do and sleeps again. So one task is spawned there, which wakes all the
/// others. Should the runtime not run it any more, it is dropped, and all are answered the same.
#[derive(Default)]
pub(super) struct Answers(Vec<(Reply, Result<Published, PublishError>)>);

/// Fewer are not worth a task.
const TASK_FROM: usize = 4;

impl Answers {
    pub(super) fn add(&mut self, to: Reply, answer: Result<Published, PublishError>) {
        self.0.push((to, answer));
    }

    /// Sends all of them.
    pub(super) fn send(mut self) {
        if self.0.len() < TASK_FROM {
            return;
        }
        let runtime = self.0.first().and_then(|(reply, _)| reply.runtime.clone());
        if let Some(runtime) = runtime {
            let is_there = |reply: &Reply| {
                let its = reply.runtime.as_ref();
                its.is_some_and(|its| its.id() == runtime.id())
            };
            let (there, elsewhere) = std::mem::take(&mut self.0)
                .into_iter()
                .partition(|(reply, _)| is_there(reply));
            self.0 = elsewhere;
            let there = Answers(there);
            runtime.spawn(async move { drop(there) });
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for (reply, answer) in self.0.drain(..) {
            reply.send(answer);
        }
    }
}
