//! The memory budget: what the process uses, looked at now and then, and what that forbids.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::AppError;

/// Who writes objects asks here first: nothing is dropped to make room for them.
#[derive(Debug)]
pub struct Memory {
    /// In bytes.
    budget: u64,
    /// What was used when it was looked at last, in bytes.
    used: AtomicU64,
}

impl Memory {
    /// A budget in bytes; 0 is three quarters of what the machine or its cgroup has.
    pub fn of(budget: u64) -> Memory {
        let budget = match budget {
            // Where nobody knows there is no limit.
            0 => there_is().map_or(u64::MAX, |all| all / 4 * 3),
            budget => budget,
        };
        let memory = Memory {
            budget,
            used: AtomicU64::new(0),
        };
        memory.look();
        memory
    }

    /// Looks at what is used. Whether it is more than the budget together with the mapped files
    /// that are in memory.
    pub fn look(&self) -> bool {
        let Some((used, mapped)) = used() else {
            return false;
        };
        let before = self.used.swap(used, Ordering::Relaxed);
        if before <= self.budget && used > self.budget {
            let budget = self.budget;
            tracing::warn!(used, budget, "over the memory budget: objects are refused");
        } else if before > self.budget && used <= self.budget {
            tracing::info!(used, "within the memory budget again");
        }
        used.saturating_add(mapped) > self.budget
    }

    /// How many bytes should be let go of, by what was used when it was looked at last: 0 up to
    /// seven eighths of the budget, beyond that what is more than three quarters of it.
    pub fn too_much(&self) -> u64 {
        let used = self.used.load(Ordering::Relaxed);
        match used > self.budget / 8 * 7 {
            true => used.saturating_sub(self.budget / 4 * 3),
            false => 0,
        }
    }

    /// Bytes that there is room for, of so many in all; looked at now.
    pub fn left(&self) -> (u64, u64) {
        self.look();
        let used = self.used.load(Ordering::Relaxed);
        (self.budget.saturating_sub(used), self.budget)
    }

    /// Whether there is room for more objects.
    ///
    /// # Errors
    /// [`AppError::OverBudget`] when there was none when it was looked at last.
    pub fn has_room(&self) -> Result<(), AppError> {
        if self.used.load(Ordering::Relaxed) <= self.budget {
            return Ok(());
        }
        Err(AppError::OverBudget { limit: self.budget })
    }
}

/// Bytes of memory that is the process's own, and of mapped files: those the kernel takes back.
fn used() -> Option<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some((kib_of(&status, "RssAnon:")?, kib_of(&status, "RssFile:")?))
}

/// Bytes of memory that there are for us: the machine's, or what its cgroups leave of it.
fn there_is() -> Option<u64> {
    let machine = kib_of(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    Some(cgroup_limit().map_or(machine, |limit| limit.min(machine)))
}

/// The least limit of our cgroup and those around it (cgroups(7), both versions).
fn cgroup_limit() -> Option<u64> {
    let ours = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = ours.lines().find_map(|line| line.strip_prefix("0::/"));
    let around = Path::new(group.unwrap_or_default()).ancestors();
    let files = around
        .map(|group| Path::new("/sys/fs/cgroup").join(group).join("memory.max"))
        .chain(["/sys/fs/cgroup/memory/memory.limit_in_bytes".into()]);
    files
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
        .min()
}

/// The figure behind `name` in a file of lines like `RssAnon:   1024 kB`, in bytes.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_the_kernel_says() {
        let status = "Name:\tgovc\nRssAnon:\t    2048 kB\nRssFile:\t 1 kB\n";
        assert_eq!(kib_of(status, "RssAnon:"), Some(2 << 20));
        assert_eq!(kib_of(status, "RssShmem:"), None);
        assert_eq!(kib_of("RssAnon: x kB", "RssAnon:"), None);
    }

    #[test]
    fn a_process_is_over_a_budget_of_one_byte_and_not_over_the_default() {
        assert!(Memory::of(1).has_room().is_err());
        assert!(Memory::of(0).has_room().is_ok());
    }
}
