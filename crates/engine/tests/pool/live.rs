//! What is live, and whether it names what is to go.

use govc_engine::pool::{Kept, Pool, PoolLimits};
use govc_git::ObjectFormat;

use crate::kit::{Git, random_history};

/// Whatever goes of what something reaches, one that stays is found that names it.
#[test]
fn whoever_names_what_goes_is_found() {
    for (seed, format) in [(81, ObjectFormat::Sha1), (82, ObjectFormat::Sha256)] {
        let git = Git::new(format);
        git.import(&random_history(format, seed, 40));
        git.run(&["tag", "-a", "-m", "a tag", "t1", "b0~2"]);
        git.run(&["tag", "-a", "-m", "of a tag", "t2", "t1"]);
        // One pool reads packs, the other one objects that are in none.
        let hot = Pool::new(format, PoolLimits::default());
        hot.insert(&git.new_objects(&git.all_objects())).unwrap();
        hot.learn(&git.ref_targets()).unwrap();
        for pool in [git.pool(), hot] {
            let kept = Kept {
                objects: vec![git.id("b0"), git.id("t2")],
                trees: Vec::new(),
            };
            let live = pool.live(&kept).unwrap();
            let never = || false;
            let none = pool.reference_to_gone(&live, &|_| false, &never);
            assert_eq!(none.unwrap(), None);
            let other = |id: &govc_git::oid| !live.contains(id);
            let none = pool.reference_to_gone(&live, &other, &never);
            assert_eq!(none.unwrap(), None, "it names what it reaches");
            for gone in live.ids() {
                let found = pool.reference_to_gone(&live, &|id| *id == *gone, &never);
                match found.unwrap() {
                    Some(reference) => {
                        assert_eq!(reference.to, gone);
                        let text = git.run(&["cat-file", "-p", &reference.from.to_string()]);
                        assert!(text.contains(&gone.to_string()), "{text}");
                    }
                    None => assert!(kept.objects.contains(&gone), "nobody names {gone}"),
                }
            }
        }
    }
}
