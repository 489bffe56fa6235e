//! `cargo`, `pip` and `npm` install what lies on the server.

use govc_tests::TestServer;

use crate::table::Row;

/// A program that installs packages from Git.
pub struct PackageManager {
    pub name: &'static str,
}

/// All, as the table lists them.
pub const ALL: &[PackageManager] = &[];

impl PackageManager {
    /// Installs a dependency.
    pub fn play(&self, _server: &TestServer) -> Row {
        Row::new(self.name)
    }
}
