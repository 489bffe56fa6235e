//! `cargo`, `pip` and `npm` install a package that lies on the server.
//!
//! Each is asked for the package as of a tag that is not the newest state, by `git+http`. The
//! package needs no other, so that no registry is asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use govc_tests::{Git, TestServer};

use crate::client::{NotReady, here, out, ready};
use crate::story::run;
use crate::table::{Outcome, Row, said};

/// A program that installs packages from Git.
pub struct PackageManager {
    pub name: &'static str,
    tools: &'static [&'static str],
    /// What it needs besides, once, in `$OUT`, from its folder here.
    prepare: &'static [&'static str],
    /// The files of a package whose version is `VERSION`.
    package: &'static [(&'static str, &'static str)],
    /// The files of who depends on it; `URL` is where it lies.
    dependent: &'static [(&'static str, &'static str)],
    /// Lines for a shell, in the dependent's folder: what they print must hold the version.
    install: &'static [&'static str],
}

/// All, as the table lists them.
pub const ALL: &[PackageManager] = &[
    PackageManager {
        name: "cargo",
        tools: &["cargo"],
        prepare: &[],
        package: &[
            (
                "Cargo.toml",
                "[package]\nname = \"hello\"\nversion = \"VERSION\"\nedition = \"2021\"\n",
            ),
            ("src/lib.rs", "pub const NUMBER: &str = \"VERSION\";\n"),
        ],
        dependent: &[
            (
                "Cargo.toml",
                "[package]\nname = \"uses\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n\
                 [dependencies]\nhello = { git = \"URL\", tag = \"v1\" }\n",
            ),
            (
                "src/main.rs",
                "fn main() { println!(\"it is {}\", hello::NUMBER); }\n",
            ),
        ],
        // With libgit2, as it comes, and again with git itself.
        install: &[
            "CARGO_HOME=$PWD/home cargo run -q",
            "CARGO_HOME=$PWD/home2 CARGO_NET_GIT_FETCH_WITH_CLI=true cargo run -q",
        ],
    },
    PackageManager {
        name: "pip",
        tools: &["python3"],
        prepare: &[
            "python3 -m venv --clear $OUT/venv",
            "$OUT/venv/bin/pip install -q --no-deps -r requirements.txt",
        ],
        package: &[
            (
                "setup.cfg",
                "[metadata]\nname = hello\nversion = VERSION\n[options]\npy_modules = hello\n",
            ),
            ("setup.py", "import setuptools\nsetuptools.setup()\n"),
            ("hello.py", "NUMBER = 'VERSION'\n"),
        ],
        dependent: &[],
        // By a tag: a partial clone, and what its checkout lacks is fetched by id.
        install: &[
            "$OUT/venv/bin/pip install -q --no-build-isolation --target site 'git+URL@v1'",
            "PYTHONPATH=site $OUT/venv/bin/python -c 'import hello; print(\"it is\", hello.NUMBER)'",
        ],
    },
    PackageManager {
        name: "npm",
        tools: &["npm", "node"],
        prepare: &[],
        package: &[
            (
                "package.json",
                "{\"name\": \"hello\", \"version\": \"VERSION\"}\n",
            ),
            ("index.js", "module.exports = 'VERSION'\n"),
        ],
        dependent: &[(
            "package.json",
            "{\"name\": \"uses\", \"private\": true, \"dependencies\": {\"hello\": \"git+URL#v1\"}}\n",
        )],
        install: &[
            "npm install --silent --no-audit --no-fund --cache $PWD/cache",
            "node -e 'console.log(\"it is\", require(\"hello\"))'",
        ],
    },
];

impl PackageManager {
    /// Puts a package on the server and installs it from there.
    pub fn play(&self, server: &TestServer) -> Row {
        let mut row = Row::new(self.name);
        let out = out().join(self.name);
        match ready(&here(self.name), &out, self.tools, self.prepare) {
            Ok(()) => {}
            Err(NotReady::Skipped(why)) => {
                row.skipped = Some(why);
                return row;
            }
            Err(NotReady::Failed(why)) => {
                row.outcomes.push(Outcome::Failed(why));
                return row;
            }
        }
        let story = || self.installs(server, &out);
        row.outcomes
            .push(match catch_unwind(AssertUnwindSafe(story)) {
                Ok(()) => Outcome::Done,
                Err(panic) => Outcome::Failed(said(panic.as_ref())),
            });
        row
    }

    fn installs(&self, server: &TestServer, out: &Path) {
        let id = format!("packages/{}", self.name);
        server.create(&id);
        let url = server.git_url(&id);
        let git = Git::new();
        git.run("init -q hello");
        for version in ["1.0.0", "2.0.0"] {
            for (path, content) in self.package {
                git.write(
                    &format!("hello/{path}"),
                    content.replace("VERSION", version),
                );
            }
            git.run("-C hello add -A");
            git.run(&format!("-C hello commit -q -m {version}"));
            git.run(&format!("-C hello tag -a -m {version} v{}", &version[..1]));
        }
        git.run(&format!("-C hello push -q --tags {url} main"));

        for (path, content) in self.dependent {
            git.write(&format!("uses/{path}"), content.replace("URL", &url));
        }
        std::fs::create_dir_all(git.path("uses")).expect("a folder");
        let mut printed = String::new();
        for line in self.install {
            let mut shell = git.command("sh");
            shell
                .args(["-ec", &line.replace("URL", &url)])
                .current_dir(git.path("uses"))
                .env("OUT", out);
            // Toolchains are found by the home of who runs them.
            for name in ["HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
                if let Some(value) = std::env::var_os(name) {
                    shell.env(name, value);
                }
            }
            let ran = run(&mut shell);
            assert!(ran.status.success(), "{line}: {ran}");
            printed.push_str(&ran.stdout);
        }
        assert!(printed.contains("it is 1.0.0"), "{printed}");
        assert!(!printed.contains("2.0.0"), "{printed}");
    }
}
