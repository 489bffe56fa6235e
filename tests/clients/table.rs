//! What came of it all, as a table.

use std::any::Any;
use std::io::Write;

use crate::capability::Capability;

/// What one client made of one capability.
pub enum Outcome {
    /// As git has it.
    Done,
    /// The client has no such thing, or cannot do it with any server, and why.
    Cannot(&'static str),
    /// Otherwise than git has it.
    Failed(String),
}

/// What one client made of all.
pub struct Row {
    pub name: &'static str,
    /// Why it was not tried.
    pub skipped: Option<String>,
    /// One for each of [`Capability::ALL`]; one alone for a package manager.
    pub outcomes: Vec<Outcome>,
}

impl Row {
    pub fn new(name: &'static str) -> Row {
        Row {
            name,
            skipped: None,
            outcomes: Vec::new(),
        }
    }

    pub fn failed(&self) -> bool {
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        self.outcomes.iter().any(failed)
    }
}

/// One line on standard output.
pub fn say(line: &str) {
    // A reader that went away has read enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// What a panic said.
pub fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

/// Capabilities down, clients across; then why what is not there is not there.
pub fn print(rows: &[Row]) {
    let clients: Vec<&Row> = rows
        .iter()
        .filter(|row| row.skipped.is_none() && row.outcomes.len() == Capability::ALL.len())
        .collect();
    let mut notes = Vec::new();
    if !clients.is_empty() {
        let mut head = format!("\n{:<18}", "");
        for row in &clients {
            head.push_str(&format!("  {}", row.name));
        }
        say(&head);
        for (at, capability) in Capability::ALL.iter().enumerate() {
            let mut line = format!("{:<18}", capability.name());
            for row in &clients {
                let (mark, note) = match &row.outcomes[at] {
                    Outcome::Done => ("yes", None),
                    Outcome::Cannot(why) => ("-", Some((*why).to_owned())),
                    Outcome::Failed(why) => ("FAILED", Some(format!("FAILED: {why}"))),
                };
                line.push_str(&format!("  {mark:^width$}", width = row.name.len()));
                if let Some(note) = note {
                    notes.push(format!("{}, {}: {note}", row.name, capability.name()));
                }
            }
            say(line.trim_end());
        }
        say("");
    }
    for row in rows {
        if let Some(why) = &row.skipped {
            notes.push(format!("{}: {why}", row.name));
        } else if row.outcomes.len() != Capability::ALL.len() {
            for outcome in &row.outcomes {
                notes.push(match outcome {
                    Outcome::Done => format!("{}: yes", row.name),
                    Outcome::Cannot(why) => format!("{}: {why}", row.name),
                    Outcome::Failed(why) => format!("{}: FAILED: {why}", row.name),
                });
            }
        }
    }
    for note in notes {
        say(&note);
    }
}
