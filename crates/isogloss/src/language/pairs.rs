use super::{Direction, Language};

/// Every ordered pair of different languages, in the order of the list.
pub fn ordered_pairs(languages: &[Language]) -> impl Iterator<Item = Direction> {
    languages.iter().flat_map(|source| {
        let others = languages.iter().filter(move |&target| target != source);
        others.map(|target| Direction::new(source.clone(), target.clone()))
    })
}
