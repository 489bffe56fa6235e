//! The order in which git's hash tables are walked. Of two files that are equally good as the
//! destination of a rename the one in the folder that is met first wins, and folders that were put
//! off are met in this order.

/// Buckets of a new table, a power of two.
const BUCKETS: usize = 64;
/// It grows four times when it is fuller than this, in percent.
const FULL_PERCENT: usize = 80;

/// The places of `names`, which were added in their order, as a walk meets them.
pub(super) fn table_order<'n>(names: impl Iterator<Item = &'n [u8]>) -> Vec<usize> {
    let mut table: Vec<Vec<(u32, usize)>> = vec![Vec::new(); BUCKETS];
    for (at, name) in names.enumerate() {
        let hash = fnv1(name);
        let bucket = hash as usize & (table.len() - 1);
        // The newest is the first of its bucket; here it is the last.
        table[bucket].push((hash, at));
        if (at + 1) * 100 > table.len() * FULL_PERCENT + 99 {
            let mut larger = vec![Vec::new(); table.len() * 4];
            let walked = table.iter().flat_map(|bucket| bucket.iter().rev());
            for &(hash, at) in walked {
                let bucket = hash as usize & (larger.len() - 1);
                larger[bucket].push((hash, at));
            }
            table = larger;
        }
    }
    let walked = table
        .into_iter()
        .flat_map(|bucket| bucket.into_iter().rev());
    walked.map(|(_, at)| at).collect()
}

/// FNV-1 in 32 bits.
fn fnv1(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash: u32, byte| {
        hash.wrapping_mul(0x0100_0193) ^ u32::from(*byte)
    })
}
