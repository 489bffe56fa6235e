//! Stories of git commands, in files (`tests/git/*.txtar`).
//!
//! One command a line. `!` before it: it must fail. After it, `stdout 'pattern'`,
//! `stderr 'pattern'` and their `!` hold the last command's output against a regular expression.
//!
//! | command | does |
//! |---|---|
//! | `git …` | git, in the story's folder |
//! | `curl …` | curl, with `-sS` |
//! | `kill` | `kill -9` of the server, and a new start on the same data |
//! | `stop` | SIGTERM, exit code 0, and a new start on the same data |
//! | `write FILE TEXT…` | a file with a line of text |
//! | `cmp FILE FILE` | two files are equal |
//! | `exists FILE…` | files or folders are there |
//!
//! `$URL` is `http://HOST:PORT`, `$API` is `$URL/api/v1`, `$DATA` the server's data folder. Lines
//! that begin with `#` are for the reader. Behind `-- FILE --` stands what the file holds when the
//! story begins.

use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::{Git, Ran, TestServer, split_words};

/// Plays the story in the file at `path`, on a server of its own.
///
/// # Panics
/// At the line that does not do what it says.
pub fn play(path: &Path) {
    let text = std::fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (script, files) = parse(&text);
    let git = Git::new();
    for (name, content) in files {
        git.write(&name, content);
    }
    let mut stage = Stage {
        git,
        server: TestServer::start(),
        last: None,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for (number, line) in script.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(why) = stage.play(line) {
            panic!("{name}:{}: {line}\n{why}", number + 1);
        }
    }
}

/// The script, and the files with their contents.
fn parse(text: &str) -> (String, Vec<(String, String)>) {
    let mut script = String::new();
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        let header = line
            .trim_end()
            .strip_prefix("-- ")
            .and_then(|rest| rest.strip_suffix(" --"));
        match (header, files.last_mut()) {
            (Some(name), _) => files.push((name.trim().to_owned(), String::new())),
            (None, Some((_, content))) => content.push_str(line),
            (None, None) => script.push_str(line),
        }
    }
    (script, files)
}

struct Stage {
    git: Git,
    server: TestServer,
    last: Option<Ran>,
}

impl Stage {
    fn play(&mut self, line: &str) -> Result<(), String> {
        let (fails, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, line),
        };
        let words: Vec<String> = split_words(line)
            .iter()
            .map(|word| self.expand(word))
            .collect();
        let Some((verb, arguments)) = words.split_first() else {
            return Err("no command".to_owned());
        };
        let done = match verb.as_str() {
            "stdout" | "stderr" => return self.look(verb, arguments, fails),
            "git" => self.run(self.git.command("git"), arguments),
            "curl" => {
                let mut command = self.git.command("curl");
                command.arg("-sS");
                self.run(command, arguments)
            }
            "kill" => {
                self.server.kill_and_start_again();
                true
            }
            "stop" => {
                self.server.stop_well();
                self.server.start_again();
                true
            }
            "write" => {
                let (file, text) = arguments.split_first().ok_or("write what?")?;
                self.git.write(file, format!("{}\n", text.join(" ")));
                true
            }
            "cmp" => {
                let [a, b] = arguments else {
                    return Err("cmp takes two files".to_owned());
                };
                self.git.read(a) == self.git.read(b)
            }
            "exists" => arguments.iter().all(|file| self.git.path(file).exists()),
            other => return Err(format!("there is no command {other:?}")),
        };
        match (done, fails) {
            (true, false) | (false, true) => Ok(()),
            (true, true) => Err(format!("it did not fail\n{}", self.shown())),
            (false, false) => Err(format!("it failed\n{}", self.shown())),
        }
    }

    fn expand(&self, word: &str) -> String {
        word.replace("$URL", &self.server.url())
            .replace("$API", &format!("{}/api/v1", self.server.url()))
            .replace("$DATA", &self.server.data().to_string_lossy())
    }

    fn run(&mut self, mut command: Command, arguments: &[String]) -> bool {
        let output = command.args(arguments).output().expect("it runs");
        let ran = Ran::new(output);
        let done = ran.status.success();
        self.last = Some(ran);
        done
    }

    fn look(&self, verb: &str, patterns: &[String], absent: bool) -> Result<(), String> {
        let last = self.last.as_ref().ok_or("nothing was run before")?;
        let text = if verb == "stdout" {
            &last.stdout
        } else {
            &last.stderr
        };
        for pattern in patterns {
            let found = Regex::new(&format!("(?m){pattern}"))
                .map_err(|error| error.to_string())?
                .is_match(text);
            if found == absent {
                let what = if absent { "is" } else { "is not" };
                return Err(format!("{pattern:?} {what} in\n{}", self.shown()));
            }
        }
        Ok(())
    }

    fn shown(&self) -> String {
        self.last.as_ref().map_or_else(String::new, Ran::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn files_stand_behind_the_script() {
        let (script, files) = parse("# a\ngit x\n-- b/c --\none\n\ntwo\n-- d --\n");
        assert_eq!(script, "# a\ngit x\n");
        assert_eq!(
            files,
            [
                ("b/c".to_owned(), "one\n\ntwo\n".to_owned()),
                ("d".to_owned(), String::new())
            ]
        );
    }
}
