//! What each operation asks of its arguments, for every backend alike. The fast kernels' unsafe code relies on it, so nothing
//! here may wrap.

use crate::attention::cached::{KeptRows, RowLists};
use crate::backend::{AttentionShape, Epilogue, NormGradients, Span};
use crate::low_rank::{Factors, List, LowRankTerm};
use crate::matmul::{Mat, MatMut};

/// An argument that must hold exactly so many values.
#[track_caller]
fn length<T>(name: &str, values: &[T], expected: usize) {
    let len = values.len();
    assert!(
        len == expected,
        "`{name}` holds {len} values, expected {expected}"
    );
}

/// An argument of `rows` rows of `width` values.
#[track_caller]
fn matrix<T>(name: &str, values: &[T], rows: usize, width: usize) {
    let len = values.len();
    assert!(
        rows.checked_mul(width) == Some(len),
        "`{name}` holds {len} values, expected {rows} rows of {width}"
    );
}

/// Rows of an argument that must consist of whole ones. Without a width there is nothing to hold.
#[track_caller]
fn whole_rows<T>(name: &str, values: &[T], width: usize) -> usize {
    let len = values.len();
    assert!(
        len == 0 || (width > 0 && len.is_multiple_of(width)),
        "`{name}` holds {len} values, expected whole rows of {width}"
    );
    len / width.max(1)
}

/// Indices of rows that must exist.
#[track_caller]
fn indices(name: &str, values: &[u32], rows: usize) {
    if let Some(index) = values.iter().find(|&&index| index as usize >= rows) {
        panic!("`{name}` asks for row {index} of {rows}");
    }
}

#[track_caller]
pub(crate) fn matmul<R: crate::Real>(
    a: &Mat<'_, R>,
    b: &Mat<'_, R>,
    epilogue: &Epilogue<'_, R>,
    c: &MatMut<'_, R>,
) {
    let (k, n) = (b.rows(), b.cols());
    assert!(
        k == a.cols(),
        "`b` has {k} rows, expected the {} columns of `a`",
        a.cols()
    );
    assert!(
        (c.rows(), c.cols()) == (a.rows(), n),
        "`c` is {} x {}, expected {} x {n}",
        c.rows(),
        c.cols(),
        a.rows()
    );
    if let Some(bias) = epilogue.bias {
        length("bias", bias, n);
    }
}

#[track_caller]
pub(crate) fn low_rank<R>(
    terms: &[LowRankTerm],
    factors: &Factors<'_, R>,
    (x, inputs): (&[R], usize),
    (y, outputs): (&[R], usize),
) {
    let parameters = factors.parameters;
    if let Some(kept) = factors.kept {
        let (kept, len) = (kept.len(), parameters.len());
        assert!(kept == len, "`kept` holds {kept} values, expected {len}");
    }
    let rows = whole_rows("x", x, inputs);
    matrix("y", y, rows, outputs);
    let mut end = 0;
    for term in terms {
        let LowRankTerm {
            rows: of,
            input,
            output,
            ..
        } = term;
        assert!(
            end <= of.start && of.start <= of.end && of.end <= rows,
            "`terms` has rows {of:?} after row {end} of {rows}"
        );
        assert!(
            input.start <= input.end && input.end <= inputs,
            "`terms` has inputs {input:?} of {inputs}"
        );
        assert!(
            output.start <= output.end && output.end <= outputs,
            "`terms` has outputs {output:?} of {outputs}"
        );
        for (start, size) in [(term.a, input.len()), (term.b, output.len())] {
            let factor_end = size
                .checked_mul(term.rank)
                .and_then(|len| start.checked_add(len));
            assert!(
                factor_end.is_some_and(|end| end <= parameters.len()),
                "`parameters` holds {} values, too few for {term:?}",
                parameters.len()
            );
        }
        end = of.end;
    }
    // A product of rows and factors takes room of its own.
    let products = terms.iter().try_fold(0usize, |sum, term| {
        sum.checked_add(term.rows.len().checked_mul(term.rank)?.checked_mul(2)?)
    });
    assert!(
        products.is_some_and(|len| len <= isize::MAX as usize / size_of::<f64>()),
        "`terms` has more rows and ranks than fit into memory"
    );
}

#[track_caller]
pub(crate) fn low_rank_backward<R>(
    terms: &[LowRankTerm],
    parameters: &[R],
    (x, inputs): (&[R], usize),
    (dy, outputs): (&[R], usize),
    dx: Option<&[R]>,
    gradients: &[R],
) {
    let rows = whole_rows("x", x, inputs);
    matrix("dy", dy, rows, outputs);
    low_rank(terms, &parameters.into(), (x, inputs), (dy, outputs));
    if let Some(dx) = dx {
        length("dx", dx, x.len());
    }
    length("gradients", gradients, parameters.len());
    factors(terms);
}

/// Factors are the same or don't overlap: tasks add to their gradients at the same time.
#[track_caller]
fn factors(terms: &[LowRankTerm]) {
    let of = |t: &LowRankTerm| {
        let a = (t.a, t.rank, t.input.len(), 'A');
        [a, (t.b, t.output.len(), t.rank, 'B')]
    };
    let mut all: List<_> = terms.iter().flat_map(of).collect();
    all.retain(|factor| factor.1 * factor.2 > 0);
    all.sort_unstable();
    all.dedup();
    for pair in all.windows(2) {
        let [first, second] = [pair[0], pair[1]];
        assert!(
            first.0 + first.1 * first.2 <= second.0,
            "`terms` have factors {first:?} and {second:?} that overlap"
        );
    }
}

#[track_caller]
pub(crate) fn add_column_sums<R>(x: &[R], sums: &[R]) {
    whole_rows("x", x, sums.len());
}

#[track_caller]
pub(crate) fn layer_norm<R>(x: &[R], gamma: &[R], beta: &[R], y: &[R], stats: &[R]) {
    let width = gamma.len();
    let rows = whole_rows("x", x, width);
    length("beta", beta, width);
    length("y", y, x.len());
    matrix("stats", stats, rows, 2);
}

#[track_caller]
pub(crate) fn layer_norm_backward<R>(
    dy: &[R],
    x: &[R],
    stats: &[R],
    gamma: &[R],
    dx: &[R],
    parameters: &NormGradients<'_, R>,
) {
    let width = gamma.len();
    let rows = whole_rows("x", x, width);
    length("dy", dy, x.len());
    matrix("stats", stats, rows, 2);
    length("dx", dx, x.len());
    if let Some((dgamma, dbeta)) = parameters {
        length("dgamma", dgamma, width);
        length("dbeta", dbeta, width);
    }
}

/// The width of a row that all heads share.
#[track_caller]
fn row_of_heads(shape: AttentionShape) -> usize {
    let AttentionShape {
        heads, head_dim, ..
    } = shape;
    match heads.checked_mul(head_dim) {
        Some(width) if width > 0 => width,
        _ => panic!("`shape` has {heads} heads of {head_dim}"),
    }
}

#[track_caller]
pub(crate) fn attention<R>(
    shape: AttentionShape,
    q: &[R],
    k: &[R],
    v: &[R],
    spans: &[Span],
    out: &[R],
    lse: &[R],
) {
    let width = row_of_heads(shape);
    let queries = whole_rows("q", q, width);
    let keys = whole_rows("k", k, width);
    length("v", v, k.len());
    length("out", out, q.len());
    matrix("lse", lse, queries, shape.heads);
    let inside = |start: usize, len, rows| start.checked_add(len).is_some_and(|end| end <= rows);
    for span in spans {
        assert!(
            inside(span.q_start, span.q_len, queries) && inside(span.k_start, span.k_len, keys),
            "`spans` has {span:?} in {queries} queries and {keys} keys"
        );
        let least = if shape.causal { span.q_len } else { 1 };
        assert!(
            span.q_len == 0 || span.k_len >= least,
            "`spans` has {span:?}, in which a query sees no key"
        );
    }
    disjoint("queries", spans.iter().map(|s| (s.q_start, s.q_len)));
}

/// The width of rows that are written to some places.
#[track_caller]
pub(crate) fn kept_rows<R>(rows: &[u32], values: &[R]) -> usize {
    let (len, count) = (values.len(), rows.len());
    assert!(
        count == 0 && len == 0 || count > 0 && len > 0 && len.is_multiple_of(count),
        "`values` holds {len} values, expected {count} rows"
    );
    (len / count.max(1)).max(1)
}

#[track_caller]
pub(crate) fn cached_attention<R: crate::Real>(
    shape: AttentionShape,
    q: &[R],
    keys: &KeptRows<R>,
    values: &KeptRows<R>,
    lists: RowLists<'_>,
    out: &[R],
) {
    let width = row_of_heads(shape);
    matrix("q", q, lists.ends.len(), width);
    length("out", out, q.len());
    let (len, others) = (keys.len(), values.len());
    assert!(
        len == others && len.is_multiple_of(width),
        "`keys` holds {len} values and `values` {others}, expected whole rows of {width}"
    );
    let mut start = 0;
    for &end in lists.ends {
        assert!(
            start < end && end <= lists.rows.len(),
            "`lists` has one from {start} to {end} of {} rows",
            lists.rows.len()
        );
        start = end;
    }
    indices("lists", lists.rows, len / width);
}

#[track_caller]
pub(crate) fn attention_backward<R>(
    shape: AttentionShape,
    q: &[R],
    k: &[R],
    v: &[R],
    out: &[R],
    lse: &[R],
    dout: &[R],
    spans: &[Span],
    [dq, dk, dv]: [&[R]; 3],
) {
    attention(shape, q, k, v, spans, out, lse);
    length("dout", dout, q.len());
    length("dq", dq, q.len());
    length("dk", dk, k.len());
    length("dv", dv, k.len());
    disjoint("keys", spans.iter().map(|s| (s.k_start, s.k_len)));
}

/// No row may belong to two ranges `(start, length)`: tasks write to them at the same time.
#[track_caller]
fn disjoint(what: &str, ranges: impl Iterator<Item = (usize, usize)> + Clone) {
    let ascending = |ranges: &mut dyn Iterator<Item = (usize, usize)>| {
        let mut end = 0;
        ranges.filter(|range| range.1 > 0).all(|(start, len)| {
            let after = start >= end;
            end = start + len;
            after
        })
    };
    // As they nearly always are; otherwise they are sorted.
    if !ascending(&mut ranges.clone()) {
        let mut sorted: Vec<_> = ranges.collect();
        sorted.sort_unstable();
        assert!(ascending(&mut sorted.into_iter()), "`spans` share {what}");
    }
}

#[track_caller]
pub(crate) fn embed<R: crate::Real>(
    ids: &[u32],
    table: &Mat<'_, R>,
    position_ids: &[u32],
    positions: &[R],
    y: &[R],
) {
    let width = table.cols();
    contiguous(table);
    indices("ids", ids, table.rows());
    length("position_ids", position_ids, ids.len());
    let places = whole_rows("positions", positions, width);
    if width > 0 {
        indices("position_ids", position_ids, places);
    }
    matrix("y", y, ids.len(), width);
}

/// Rows of a table are read as slices.
#[track_caller]
fn contiguous<R: crate::Real>(table: &Mat<'_, R>) {
    assert!(
        table.col_stride() == 1,
        "`table` is transposed, but its rows must be contiguous"
    );
}

#[track_caller]
pub(crate) fn embed_backward<R>(ids: &[u32], width: usize, dy: &[R], dtable: &[R]) {
    matrix("dy", dy, ids.len(), width);
    let rows = whole_rows("dtable", dtable, width);
    if width > 0 {
        indices("ids", ids, rows);
    }
}

#[track_caller]
pub(crate) fn dropout<R>(row_keys: &[u64], width: usize, y: &[R]) {
    matrix("y", y, row_keys.len(), width);
}

#[track_caller]
pub(crate) fn add<R>(x: &[R], y: &[R]) {
    length("y", y, x.len());
}

#[track_caller]
pub(crate) fn relu_backward<R>(y: &[R], dy: &[R]) {
    length("dy", dy, y.len());
}

#[track_caller]
pub(crate) fn head_loss<R: crate::Real>(
    h: &[R],
    table: &Mat<'_, R>,
    targets: &[u32],
    loss: &[R],
    nll: &[R],
    dh: Option<&[R]>,
    dtable: Option<&[R]>,
) {
    let (classes, width, rows) = (table.rows(), table.cols(), targets.len());
    contiguous(table);
    matrix("h", h, rows, width);
    indices("targets", targets, classes);
    length("loss", loss, rows);
    length("nll", nll, rows);
    if let Some(dh) = dh {
        length("dh", dh, h.len());
    }
    if let Some(dtable) = dtable {
        matrix("dtable", dtable, classes, width);
    }
}

#[track_caller]
pub(crate) fn head_best<R: crate::Real>(
    h: &[R],
    table: &Mat<'_, R>,
    count: usize,
    best: &[(R, u32)],
    lse: &[R],
) {
    let classes = table.rows();
    contiguous(table);
    matrix("h", h, lse.len(), table.cols());
    assert!(
        (1..=classes).contains(&count),
        "`count` is {count} of {classes} classes"
    );
    matrix("best", best, lse.len(), count);
}

#[track_caller]
pub(crate) fn log_softmax<R>(width: usize, logits: &[R]) {
    whole_rows("logits", logits, width);
}

#[track_caller]
pub(crate) fn adam<R>(values: &[R], grads: &[R], first: &[R], second: &[R]) {
    length("grads", grads, values.len());
    length("first", first, values.len());
    length("second", second, values.len());
}
