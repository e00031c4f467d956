//! Plain embedding.

use crate::check;
use crate::matmul::Mat;
use crate::real::Real;

/// See [`crate::Backend::embed`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn embed<R: Real>(
    ids: &[u32],
    table: Mat<'_, R>,
    scale: f32,
    position_ids: &[u32],
    positions: &[R],
    y: &mut [R],
) {
    let width = table.cols();
    check::embed(ids, &table, position_ids, positions, y);
    let rows = y
        .chunks_exact_mut(width.max(1))
        .zip(ids.iter().zip(position_ids));
    for (y, (&id, &position)) in rows {
        let position = &positions[position as usize * width..][..width];
        for (j, y) in y.iter_mut().enumerate() {
            *y = R::of(scale) * table.at(id as usize, j) + position[j];
        }
    }
}

/// See [`crate::Backend::embed_backward`].
///
/// # Panics
/// If a length doesn't agree with the others, or if a row asked for doesn't exist.
pub fn embed_backward<R: Real>(ids: &[u32], scale: f32, width: usize, dy: &[R], dtable: &mut [R]) {
    check::embed_backward(ids, width, dy, dtable);
    for (&id, dy) in ids.iter().zip(dy.chunks_exact(width.max(1))) {
        let row = &mut dtable[id as usize * width..][..width];
        for (d, &dy) in row.iter_mut().zip(dy) {
            *d += R::of(scale) * dy;
        }
    }
}
