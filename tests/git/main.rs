//! Stories in git's own words, one file each. `govc_tests::play` says how they are read.

use std::path::Path;

macro_rules! stories {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[test]
            fn $name() {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("git");
                govc_tests::play(&folder.join(concat!($file, ".txtar")));
            }
        )*
    };
}

stories! {
    first_five_minutes: "first-five-minutes",
    two_people_push: "two-people-push",
    tags: "tags",
    a_name_below_another: "a-name-below-another",
    moved_and_copied: "moved-and-copied",
    stashes: "stashes",
}
