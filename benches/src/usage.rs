//! What processes cost: CPU seconds and memory, as the kernel counts them.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Seconds of CPU (user and system) and of the clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// User and system time of all threads, children that were waited for included.
    pub cpu: f64,
    /// Time on the clock.
    pub wall: f64,
}

/// What `work` costs in this process, all threads included.
pub fn of_this_process<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (start, cpu) = (Instant::now(), cpu_of(std::process::id()));
    let result = work();
    let cpu = cpu_of(std::process::id()) - cpu;
    (
        result,
        Cost {
            cpu,
            wall: start.elapsed().as_secs_f64(),
        },
    )
}

/// What `command` costs, run to its end with its output thrown away. It must succeed.
pub fn of_command(command: &mut Command) -> Cost {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (status, cost) = of_children(|| command.status());
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
    cost
}

/// What the children that `work` starts and waits for cost.
pub fn of_children<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (start, cpu) = (
        Instant::now(),
        stat(std::process::id()).map_or(0.0, |stat| stat.children),
    );
    let result = work();
    let cpu = stat(std::process::id()).map_or(0.0, |stat| stat.children) - cpu;
    (
        result,
        Cost {
            cpu,
            wall: start.elapsed().as_secs_f64(),
        },
    )
}

/// CPU seconds of a running process, without its children.
pub fn cpu_of(pid: u32) -> f64 {
    // schedstat has nanoseconds; stat has hundredths of seconds.
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let nanoseconds = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    let running: u64 = tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(nanoseconds)
        .sum();
    let gone = stat(pid).map_or(0.0, |stat| stat.own) - running as f64 / 1e9;
    running as f64 / 1e9 + gone.max(0.0)
}

/// CPU seconds of the threads of a running process that are called `name`.
pub fn cpu_of_threads(pid: u32, name: &str) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let nanoseconds = |task: fs::DirEntry| {
        let called = fs::read_to_string(task.path().join("comm")).ok()?;
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let time = text.split_whitespace().next()?.parse::<u64>().ok()?;
        (called.trim_end() == name).then_some(time)
    };
    let all = tasks.into_iter().flatten().flatten();
    all.filter_map(nanoseconds).sum::<u64>() as f64 / 1e9
}

/// CPU seconds of all processes of a session, children that they waited for included.
pub fn cpu_of_session(session: u32) -> f64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let stats = processes.filter_map(pid).filter_map(stat);
    stats
        .filter(|stat| stat.session == session)
        .map(|stat| stat.own + stat.children)
        .sum()
}

/// The most memory that a running process ever had, in bytes.
pub fn peak_memory(pid: u32) -> u64 {
    status_kilobytes(pid, "VmHWM:") << 10
}

/// The memory that a running process has, in bytes.
pub fn memory(pid: u32) -> u64 {
    status_kilobytes(pid, "VmRSS:") << 10
}

fn status_kilobytes(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

struct Stat {
    session: u32,
    own: f64,
    children: f64,
}

/// proc(5), `/proc/[pid]/stat`.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let seconds = |at: usize| {
        fields
            .get(at)?
            .parse::<f64>()
            .ok()
            .map(|ticks| ticks / 100.0)
    };
    Some(Stat {
        session: fields.get(3)?.parse().ok()?,
        own: seconds(11)? + seconds(12)?,
        children: seconds(13)? + seconds(14)?,
    })
}
