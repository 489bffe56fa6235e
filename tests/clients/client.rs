//! Who the clients are, where they come from, and what they cannot do with any server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::capability::Capability;

/// A client of Git, in a folder of its name.
pub struct Client {
    /// What the table calls it.
    pub name: &'static str,
    /// Its folder here.
    folder: &'static str,
    /// What must be on the machine to build and to run it.
    tools: &'static [&'static str],
    /// How its packages come into the folder `$OUT`, from its own: lines for a shell.
    install: &'static [&'static str],
    /// How it is run.
    program: &'static [&'static str],
    /// With what in its environment, besides.
    pub environment: &'static [(&'static str, &'static str)],
    /// Whether a clone of its has files.
    pub checks_out: bool,
    /// Whether it pushes at all.
    pub pushes: bool,
    /// Whether it learns what HEAD names in an empty repository.
    pub asks_for_unborn: bool,
    /// The repository of odd names that it can have: some refuse what other systems part paths at
    /// or have reserved.
    pub odd: &'static str,
    /// What is not the server's fault.
    pub cannot: &'static [(Capability, &'static str)],
}

/// Why a client is not there.
pub enum NotReady {
    /// Its toolchain is not on this machine.
    Skipped(String),
    /// It is, and the client could not be had.
    Failed(String),
}

const GIT: Client = Client {
    name: "git",
    folder: "git",
    tools: &["git", "sh"],
    install: &[],
    program: &["sh", "$HERE/client.sh"],
    environment: &[],
    checks_out: true,
    pushes: true,
    asks_for_unborn: false,
    odd: "odd",
    cannot: &[],
};

/// All, as the table lists them.
pub const ALL: &[Client] = &[
    Client {
        name: "git-v2",
        environment: &[
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "protocol.version"),
            ("GIT_CONFIG_VALUE_0", "2"),
        ],
        asks_for_unborn: true,
        ..GIT
    },
    Client {
        name: "git-v1",
        environment: &[
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "protocol.version"),
            ("GIT_CONFIG_VALUE_0", "1"),
        ],
        ..GIT
    },
    Client {
        name: "git-v0",
        environment: &[
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "protocol.version"),
            ("GIT_CONFIG_VALUE_0", "0"),
        ],
        cannot: &[],
        ..GIT
    },
    Client {
        name: "pygit2",
        folder: "pygit2",
        tools: &["python3"],
        install: &[
            "python3 -m venv --clear $OUT/venv",
            "$OUT/venv/bin/pip install -q --no-deps -r requirements.txt",
        ],
        program: &["$OUT/venv/bin/python", "$HERE/client.py"],
        cannot: &[
            (Capability::Partial, "libgit2 has no filters"),
            (Capability::Atomic, "libgit2 does not ask for it"),
            (Capability::Sha256Clone, "libgit2 is built without it"),
            (Capability::Sha256Push, "libgit2 is built without it"),
        ],
        ..GIT
    },
    Client {
        name: "dulwich",
        folder: "dulwich",
        tools: &["python3"],
        install: &[
            "python3 -m venv --clear $OUT/venv",
            "$OUT/venv/bin/pip install -q --no-deps -r requirements.txt",
        ],
        program: &["$OUT/venv/bin/python", "$HERE/client.py"],
        cannot: &[(
            Capability::Sha256Push,
            "its deltas are made with ids of SHA-1, and it stops there",
        )],
        ..GIT
    },
    Client {
        name: "isomorphic-git",
        folder: "isomorphic-git",
        tools: &["node", "npm"],
        install: &[
            "cp package.json package-lock.json $OUT/",
            "cd $OUT && npm ci --silent --no-audit --no-fund",
        ],
        program: &["node", "$HERE/client.mjs", "$OUT"],
        odd: "odd-without-backslash",
        cannot: &[
            (Capability::Partial, "it has no filters"),
            (Capability::Atomic, "it pushes one ref at a time"),
            (Capability::PushOptions, "it has none"),
            (Capability::ManyRefs, "it pushes one ref at a time"),
            (Capability::Empty, "it needs the commit that HEAD names"),
            (Capability::Sha256Clone, "it knows SHA-1 only"),
            (Capability::Sha256Push, "it knows SHA-1 only"),
        ],
        ..GIT
    },
    Client {
        name: "go-git",
        folder: "go-git",
        tools: &["go"],
        install: &["go build -o $OUT/client ."],
        program: &["$OUT/client"],
        odd: "odd-without-reserved",
        cannot: &[
            (Capability::Partial, "it has no filters"),
            (
                Capability::Deepen,
                "it asks, and keeps its history cut where it was",
            ),
            (
                Capability::Empty,
                "it says that the repository is empty, and has no clone",
            ),
            (Capability::Sha256Clone, "it is built for SHA-1"),
            (Capability::Sha256Push, "it is built for SHA-1"),
        ],
        ..GIT
    },
    Client {
        name: "JGit",
        folder: "jgit",
        tools: &["java", "javac", "mvn"],
        install: &[
            "mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
             -DoutputDirectory=$OUT/jars",
            "javac -d $OUT/classes -cp \"$OUT/jars/*\" Client.java",
        ],
        program: &[
            "java",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-cp",
            "$OUT/classes:$OUT/jars/*",
            "Client",
        ],
        cannot: &[
            (Capability::Sha256Clone, "it knows SHA-1 only"),
            (Capability::Sha256Push, "it knows SHA-1 only"),
        ],
        ..GIT
    },
    Client {
        name: "gitoxide",
        folder: "gix",
        tools: &["cargo"],
        install: &["cargo build -q --locked --target-dir $OUT"],
        program: &["$OUT/debug/govc-tests-gix"],
        // Its checkout would double what there is to build.
        checks_out: false,
        asks_for_unborn: true,
        cannot: &[
            (Capability::Partial, "it has no filters"),
            (
                Capability::SingleBranch,
                "it wants the commit that HEAD names besides",
            ),
            (Capability::PushNew, NO_PUSH),
            (Capability::FastForward, NO_PUSH),
            (Capability::Forced, NO_PUSH),
            (Capability::Deleted, NO_PUSH),
            (Capability::Tags, NO_PUSH),
            (Capability::Atomic, NO_PUSH),
            (Capability::PushOptions, NO_PUSH),
            (Capability::ManyRefs, NO_PUSH),
            (Capability::Chunked, NO_PUSH),
            (Capability::Sha256Push, NO_PUSH),
        ],
        pushes: false,
        ..GIT
    },
];

const NO_PUSH: &str = "it has no push";

impl Client {
    /// Has its packages at hand: the words that run it.
    ///
    /// # Errors
    /// When its toolchain is not there, or its packages cannot be had.
    pub fn ready(&self) -> Result<Vec<String>, NotReady> {
        let here = here(self.folder);
        let out = out().join(self.folder);
        ready(&here, &out, self.tools, self.install)?;
        let fill = |word: &&str| {
            word.replace("$HERE", &here.display().to_string())
                .replace("$OUT", &out.display().to_string())
        };
        Ok(self.program.iter().map(fill).collect())
    }
}

/// The folder of a client's files.
pub fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

/// Where packages are kept between runs: `target/clients`.
pub fn out() -> PathBuf {
    // target/PROFILE/deps/clients-0123456789abcdef
    let test = std::env::current_exe().expect("this test's own path");
    let target = test.ancestors().nth(3).expect("a target folder");
    target.join("clients")
}

/// Runs the lines of `install` in the folder `here`, with `$OUT`, unless they were run before
/// with the files that are there.
///
/// # Errors
/// When a tool is not there, or a line fails.
pub fn ready(here: &Path, out: &Path, tools: &[&str], install: &[&str]) -> Result<(), NotReady> {
    for tool in tools {
        let looked = Command::new("sh")
            .args(["-c", &format!("command -v {tool}")])
            .stdout(Stdio::null())
            .status();
        if !looked.is_ok_and(|status| status.success()) {
            let why = format!("skipped: there is no {tool} on this machine");
            return Err(NotReady::Skipped(why));
        }
    }
    if install.is_empty() {
        return Ok(());
    }
    let failed = |what: &dyn std::fmt::Display| NotReady::Failed(format!("install: {what}"));
    let wanted = format!("{}\n{}", install.join("\n"), contents(here));
    let stamp = out.join("installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == wanted) {
        return Ok(());
    }
    let _ = std::fs::remove_file(&stamp);
    std::fs::create_dir_all(out).map_err(|error| failed(&error))?;
    for line in install {
        let mut shell = Command::new("sh");
        shell
            .args(["-ec", line])
            .current_dir(here)
            .env("OUT", out)
            .stdin(Stdio::null());
        let output = shell.output().map_err(|error| failed(&error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let printed = String::from_utf8_lossy(&output.stdout);
            return Err(failed(&format!("{line}: {printed}{said}")));
        }
    }
    std::fs::write(stamp, wanted).map_err(|error| failed(&error))
}

/// All that stands in the files of a client's folder.
fn contents(folder: &Path) -> String {
    let mut paths = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let texts = paths.iter().map(std::fs::read_to_string);
    texts.flatten().collect()
}
