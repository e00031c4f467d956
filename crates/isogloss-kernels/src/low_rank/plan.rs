//! How low-rank updates are cut into tasks: by rows, and by elements of the factors' gradients.

use std::ops::Range;

use crate::cpu::Cpu;
use crate::low_rank::{List, LowRankTerm};

/// Tasks are not cut below this many multiply-adds.
const MIN_TASK: usize = 1 << 17;
/// Tasks of each thread where there is enough to do. More would pack the factors more often than they even out.
const PER_THREAD: usize = 2;
/// What packing a term's factors costs, as so many rows.
const PACKING: usize = 16;
/// Factors' gradients are cut at multiples of this many inputs or outputs.
const COLS: usize = 64;

/// Rows of a task, and the term that acts on them, if any.
#[derive(Debug, PartialEq)]
pub(super) struct Piece {
    pub term: Option<usize>,
    pub rows: Range<usize>,
}

/// Which factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Factor {
    A,
    B,
}

impl Factor {
    /// Where it starts in the parameters.
    fn start(self, term: &LowRankTerm) -> usize {
        match self {
            Factor::A => term.a,
            Factor::B => term.b,
        }
    }

    /// Its inputs or outputs.
    fn width(self, term: &LowRankTerm) -> usize {
        match self {
            Factor::A => term.input.len(),
            Factor::B => term.output.len(),
        }
    }
}

/// Part of a factor's gradient: some inputs of `A`, or outputs of `B`.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    pub factor: Factor,
    /// One of the terms that share the factor.
    pub first: usize,
    /// All of them: places in the order of [`Parts`].
    pub terms: Range<usize>,
    pub cut: Range<usize>,
}

/// The gradients of all factors, cut into parts.
pub(super) struct Parts {
    /// Terms by where their `A` starts, then all again by where their `B` does; those with the same stay in their order.
    pub order: List<usize>,
    pub parts: List<Part>,
}

/// Multiply-adds of a term for each row: down and up.
fn row_work(term: &LowRankTerm) -> usize {
    term.rank * (term.input.len() + term.output.len())
}

/// Multiply-adds of all terms, with what packing costs.
pub(super) fn work(terms: &[LowRankTerm]) -> usize {
    let of = |term: &LowRankTerm| (term.rows.len() + PACKING) * row_work(term);
    terms.iter().map(of).sum()
}

/// Multiply-adds of a task if `work` is to keep all threads busy.
fn task_work(cpu: &Cpu, work: usize) -> usize {
    match cpu.threads_for(work) {
        1 => usize::MAX,
        threads => (work / (PER_THREAD * threads)).max(MIN_TASK),
    }
}

/// `range` in as many even parts.
fn even(range: Range<usize>, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let (start, len) = (range.start, range.len());
    let at = move |i: usize| start + len * i / parts;
    (0..parts).map(move |i| at(i)..at(i + 1))
}

/// Rows of terms, and where `all` rows are given, those without a term too.
pub(super) fn pieces(cpu: &Cpu, terms: &[LowRankTerm], all: Option<usize>) -> List<Piece> {
    let task = task_work(cpu, work(terms));
    let mut pieces = List::new();
    let mut end = 0;
    for (i, term) in terms.iter().enumerate() {
        if all.is_some() && term.rows.start > end {
            pieces.push(Piece {
                term: None,
                rows: end..term.rows.start,
            });
        }
        let rows = term.rows.clone();
        end = rows.end;
        let wanted = (rows.len() * row_work(term)).div_ceil(task);
        let count = wanted.clamp(1, rows.len().max(1));
        pieces.extend(
            even(rows, count)
                .filter(|rows| !rows.is_empty())
                .map(|rows| Piece {
                    term: Some(i),
                    rows,
                }),
        );
    }
    if let Some(all) = all.filter(|&all| all > end) {
        pieces.push(Piece {
            term: None,
            rows: end..all,
        });
    }
    pieces
}

impl Parts {
    pub(super) fn new(cpu: &Cpu, terms: &[LowRankTerm]) -> Self {
        let task = task_work(cpu, work(terms));
        let (mut order, mut parts) = (List::new(), List::new());
        for factor in [Factor::A, Factor::B] {
            let mut at = order.len();
            let any = |&i: &usize| {
                let term = &terms[i];
                !term.rows.is_empty() && term.rank * factor.width(term) > 0
            };
            order.extend((0..terms.len()).filter(any));
            order[at..].sort_unstable_by_key(|&i| (factor.start(&terms[i]), i));
            while at < order.len() {
                let first = &terms[order[at]];
                let same = |&&i: &&usize| factor.start(&terms[i]) == factor.start(first);
                let count = order[at..].iter().take_while(same).count();
                let group = at..at + count;
                let rows: usize = order[group.clone()]
                    .iter()
                    .map(|&i| terms[i].rows.len())
                    .sum();
                let width = factor.width(first);
                let wanted = (rows * first.rank * width).div_ceil(task);
                let blocks = width.div_ceil(COLS);
                let cuts = even(0..blocks, wanted.clamp(1, blocks.max(1)));
                parts.extend(cuts.filter(|cut| !cut.is_empty()).map(|cut| Part {
                    factor,
                    first: order[at],
                    terms: group.clone(),
                    cut: cut.start * COLS..width.min(cut.end * COLS),
                }));
                at += count;
            }
        }
        Parts { order, parts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KernelPath;

    fn term(rows: Range<usize>, a: usize) -> LowRankTerm {
        LowRankTerm {
            rows,
            a,
            b: 10_000 + a,
            rank: 8,
            scale: 1.0,
            input: 0..500,
            output: 100..400,
        }
    }

    #[test]
    fn pieces_and_parts_cover_everything_once() {
        let terms = [
            term(3..3, 0),
            term(5..905, 4000),
            term(905..910, 0),
            term(1000..1200, 4000),
        ];
        for threads in [1, 3] {
            let cpu = Cpu::with_path(threads, KernelPath::Portable).unwrap();
            let pieces = pieces(&cpu, &terms, Some(1300));
            assert!(pieces.len() > 4);
            let mut end = 0;
            for piece in &pieces {
                let of = |row: &usize| terms.iter().position(|term| term.rows.contains(row));
                assert_eq!(piece.rows.start, end);
                assert!(piece.rows.clone().all(|row| of(&row) == piece.term));
                end = piece.rows.end;
            }
            assert_eq!(end, 1300);
            let without = super::pieces(&cpu, &terms, None);
            assert!(pieces.into_iter().filter(|p| p.term.is_some()).eq(without));

            let Parts { order, parts } = Parts::new(&cpu, &terms);
            assert_eq!(order[..], [2, 1, 3, 2, 1, 3]);
            for (factor, groups) in [(Factor::A, [0..1, 1..3]), (Factor::B, [3..4, 4..6])] {
                for group in groups {
                    let of = |p: &&Part| p.factor == factor && p.terms == group;
                    let cuts = parts.iter().filter(of).map(|p| p.cut.clone());
                    let covered: Vec<usize> = cuts.flatten().collect();
                    assert!(covered.into_iter().eq(0..factor.width(&terms[0])));
                }
            }
        }
    }
}
