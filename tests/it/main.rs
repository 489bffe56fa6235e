//! Short stories about the real server: each starts one, and asks git and HTTP what they see.

mod answers;
mod clone;
mod compaction;
mod damaged;
mod fork;
mod full_disk;
mod hooks;
mod hostile;
mod hostile_fetch;
mod lfs;
mod program;
mod programs;
mod push;
mod realities;
mod refused;
mod residence;
mod rest;
mod restart;
mod retention;
mod runners;
mod shallow;
mod signed;
mod ssh;
mod writers;
