//! Git's commit-graph file: what a walk over history needs to know of each commit.
