//! The objects of one fork family: packs, hot objects, the commit graph, visibility.
