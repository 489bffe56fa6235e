//! Running one program: its time, its output and its children are bounded.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::mpsc::UnboundedSender;

/// So much is read at once.
const PIECE_BYTES: usize = 4096;
/// How often is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What it left running may still say something for so long.
const AFTERGLOW: Duration = Duration::from_millis(50);
/// What is to be run, and how.
pub(super) struct Order<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: &'a [String],
    pub(super) input: &'a [u8],
    pub(super) folder: &'a Path,
    /// All of it, but for [`PASSED_ON`].
    pub(super) environment: &'a [(OsString, OsString)],
    pub(super) timeout: Duration,
    pub(super) output_bytes: usize,
    /// So much of the beginning is in [`Ended::said`].
    pub(super) kept_bytes: usize,
    /// Whether what it says on stderr is heard too.
    pub(super) errors_too: bool,
    /// Who listens while it runs.
    pub(super) say: Option<&'a UnboundedSender<Bytes>>,
}

/// How it ended.
pub(super) struct Ended {
    /// What it exited with; `None` where a signal ended it.
    pub(super) status: Option<i32>,
    /// The beginning of what it said.
    pub(super) said: String,
    /// Whether it was stopped for taking too long.
    pub(super) timed_out: bool,
}

/// What of the server's own environment programs see.
const PASSED_ON: [&str; 3] = ["PATH", "HOME", "LANG"];

/// Runs a program to its end, or to the end of its time.
///
/// # Errors
/// When it cannot be started, or waited for.
pub(super) fn run(order: Order<'_>) -> io::Result<Ended> {
    let (reader, writer) = io::pipe()?;
    let own = PASSED_ON
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(order.program);
    command
        .args(order.arguments)
        .current_dir(order.folder)
        .env_clear()
        .envs(own)
        .envs(order.environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(match order.errors_too {
            true => Stdio::from(writer),
            false => Stdio::null(),
        })
        .process_group(0);
    let child = command.spawn();
    // The pipe ends when the last of its writers does: this one has to go.
    drop(command);
    let mut child = Running(child?);
    let stdin = child.0.stdin.take();
    let input = order.input.to_vec();
    // A program need not read; one that does not must not hold us up.
    thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(&input);
        }
    });
    let (tell, pieces) = channel();
    thread::spawn(move || {
        let mut reader = reader;
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(bytes @ 1..) = reader.read(&mut piece) {
            if tell.send(Bytes::copy_from_slice(&piece[..bytes])).is_err() {
                return;
            }
        }
    });
    child.listen(&order, &pieces)
}

/// A program that is killed with its children if it is let go of.
struct Running(Child);

impl Running {
    fn listen(&mut self, order: &Order<'_>, pieces: &Receiver<Bytes>) -> io::Result<Ended> {
        let end = Instant::now() + order.timeout;
        let mut heard = Heard {
            left: order.output_bytes,
            kept_bytes: order.kept_bytes,
            said: Vec::new(),
        };
        let mut open = true;
        let status = loop {
            if open {
                match pieces.recv_timeout(LOOK_EVERY) {
                    Ok(piece) => heard.take(&piece, order.say),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => open = false,
                }
            } else {
                thread::sleep(LOOK_EVERY);
            }
            if let Some(status) = self.0.try_wait()? {
                break Some(status);
            }
            if Instant::now() >= end {
                self.kill();
                self.0.wait()?;
                break None;
            }
        };
        let quiet = Instant::now() + AFTERGLOW;
        while open && let Some(left) = quiet.checked_duration_since(Instant::now()) {
            match pieces.recv_timeout(left) {
                Ok(piece) => heard.take(&piece, order.say),
                Err(_) => open = false,
            }
        }
        Ok(Ended {
            status: status.and_then(|status| status.code()),
            said: String::from_utf8_lossy(&heard.said).into_owned(),
            timed_out: status.is_none(),
        })
    }

    /// Ends it and all that it has started and not let go of.
    fn kill(&mut self) {
        let pid = Pid::from_child(&self.0);
        if let Err(error) = kill_process_group(pid, Signal::KILL) {
            tracing::debug!(%error, "a hook's processes were gone already");
            let _ = self.0.kill();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its id is its own until it was waited for.
        if matches!(self.0.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.0.wait();
        }
    }
}

struct Heard {
    left: usize,
    kept_bytes: usize,
    said: Vec<u8>,
}

impl Heard {
    fn take(&mut self, piece: &Bytes, say: Option<&UnboundedSender<Bytes>>) {
        if self.left == 0 {
            return;
        }
        let piece = piece.slice(..piece.len().min(self.left));
        self.left -= piece.len();
        let room = self
            .kept_bytes
            .saturating_sub(self.said.len())
            .min(piece.len());
        self.said.extend_from_slice(&piece[..room]);
        if let Some(say) = say {
            // Who went away does not listen.
            let _ = say.send(piece);
            if self.left == 0 {
                let _ = say.send(Bytes::from_static(b"\n(more was said)\n"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order<'a>(program: &'a Path, arguments: &'a [String]) -> Order<'a> {
        Order {
            program,
            arguments,
            input: b"in\n",
            folder: Path::new("/"),
            environment: &[],
            timeout: Duration::from_secs(60),
            output_bytes: 1 << 20,
            kept_bytes: 2000,
            errors_too: true,
            say: None,
        }
    }

    #[test]
    fn programs_are_heard_and_bounded() {
        let shell = Path::new("/bin/sh");
        let script = |text: &str| ["-c".to_owned(), text.to_owned()];
        let arguments = script("cat; echo out; echo err >&2; exit 3");
        let ended = run(order(shell, &arguments)).unwrap();
        assert_eq!((ended.status, ended.timed_out), (Some(3), false));
        assert_eq!(ended.said, "in\nout\nerr\n");

        let arguments = script("env; true");
        let said = run(order(shell, &arguments)).unwrap().said;
        for line in said.lines() {
            let name = line.split('=').next().unwrap();
            let known = ["PWD", "OLDPWD", "SHLVL", "_"];
            assert!(PASSED_ON.contains(&name) || known.contains(&name), "{line}");
        }

        let arguments = script("sleep 1000 & wait");
        let late = run(Order {
            timeout: Duration::from_millis(100),
            ..order(shell, &arguments)
        });
        assert!(late.unwrap().timed_out);

        let arguments = script("yes | head -c 1000000");
        let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
        run(Order {
            output_bytes: 1000,
            say: Some(&say),
            ..order(shell, &arguments)
        })
        .unwrap();
        drop(say);
        let mut bytes = 0;
        while let Some(piece) = said.blocking_recv() {
            bytes += piece.len();
        }
        assert_eq!(bytes, 1000 + "\n(more was said)\n".len());
    }
}
