//! The table of ratios.

/// Lines of a table: what was measured, the peer's figure, ours, and how many times better.
#[derive(Default)]
pub struct Table {
    lines: Vec<[String; 5]>,
}

impl Table {
    /// A line for figures of which less is better.
    pub fn less_is_better(&mut self, what: &str, peer: f64, ours: f64, unit: &str, goal: f64) {
        self.line(
            what,
            &show(peer, unit),
            &show(ours, unit),
            peer / ours,
            goal,
        );
    }

    /// A line for figures of which more is better.
    pub fn more_is_better(&mut self, what: &str, peer: f64, ours: f64, unit: &str, goal: f64) {
        self.line(
            what,
            &show(peer, unit),
            &show(ours, unit),
            ours / peer,
            goal,
        );
    }

    /// A line that has no peer.
    pub fn figure(&mut self, what: &str, ours: &str, goal: &str) {
        self.lines
            .push([what, "", ours, "", goal].map(str::to_owned));
        self.print_last();
    }

    fn line(&mut self, what: &str, peer: &str, ours: &str, ratio: f64, goal: f64) {
        // Of what took less than the clock can tell there is none.
        let ratio = match ratio.is_normal() {
            true => format!("{ratio:.1}x"),
            false => "?".to_owned(),
        };
        self.lines.push([
            what.into(),
            peer.into(),
            ours.into(),
            ratio,
            format!("{goal}x"),
        ]);
        self.print_last();
    }

    /// Progress: each line as soon as it is known.
    fn print_last(&self) {
        if let Some([what, peer, ours, ratio, _]) = self.lines.last() {
            eprintln!("  {what}: {ours} {peer:>10} {ratio}");
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head = ["measured", "git", "govc", "ratio", "goal"].map(str::to_owned);
        let all: Vec<&[String; 5]> = std::iter::once(&head).chain(&self.lines).collect();
        let width = |column: usize| all.iter().map(|line| line[column].chars().count()).max();
        let widths: Vec<usize> = (0..5).map(|column| width(column).unwrap_or(0)).collect();
        for (number, line) in all.iter().enumerate() {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
            if number == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                writeln!(f, "| {} |", rule.join(" | "))?;
            }
        }
        Ok(())
    }
}

fn show(figure: f64, unit: &str) -> String {
    match figure {
        big if big >= 1000.0 => format!("{big:.0} {unit}"),
        middle if middle >= 10.0 => format!("{middle:.1} {unit}"),
        small => format!("{small:.3} {unit}"),
    }
}
