//! Names beside the points of a chart, where they cover neither each other nor a point.

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Area {
    fn meets(&self, other: &Area) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn within(&self, other: &Area) -> bool {
        self.left >= other.left
            && self.right <= other.right
            && self.top >= other.top
            && self.bottom <= other.bottom
    }
}

/// Which part of a name stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A name's place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Label {
    /// On its base line.
    pub at: (f64, f64),
    pub anchor: Anchor,
}

impl Label {
    /// What the name covers.
    pub(super) fn area(&self, name: &str) -> Area {
        let width = width(name);
        let (x, y) = self.at;
        let left = match self.anchor {
            Anchor::Start => x,
            Anchor::Middle => x - 0.5 * width,
            Anchor::End => x - width,
        };
        Area {
            left,
            right: left + width,
            top: y - 11.0,
            bottom: y + 3.0,
        }
    }

    /// Its classes in the style sheet.
    pub(super) fn class(&self) -> &'static str {
        match self.anchor {
            Anchor::Start => "label",
            Anchor::Middle => "label middle",
            Anchor::End => "label end",
        }
    }
}

/// Half the size of a point's mark.
const MARK: f64 = 6.0;

/// Distances of a name beside its point, to the side and down to the base line: the best place first.
const BESIDE: [(f64, f64); 5] = [
    (9.0, -8.0),
    (9.0, 17.0),
    (11.0, 4.0),
    (9.0, -22.0),
    (9.0, 31.0),
];

/// Distances of a name above and below, down to the base line.
const ABOVE: [f64; 4] = [-10.0, 19.0, -24.0, 33.0];

/// Where a name may stand, the best place first.
fn candidates((x, y): (f64, f64), name: &str, frame: Area) -> impl Iterator<Item = Label> {
    // Towards the middle, where there's more room.
    let sides = match x > f64::midpoint(frame.left, frame.right) {
        true => [Anchor::End, Anchor::Start],
        false => [Anchor::Start, Anchor::End],
    };
    let beside = BESIDE.into_iter().flat_map(move |(dx, dy)| {
        sides.map(|anchor| {
            let dx = if anchor == Anchor::End { -dx } else { dx };
            let at = (x + dx, y + dy);
            Label { at, anchor }
        })
    });
    let half = 0.5 * width(name);
    let centre = x.min(frame.right - half).max(frame.left + half);
    let above = ABOVE.into_iter().map(move |dy| Label {
        at: (centre, y + dy),
        anchor: Anchor::Middle,
    });
    beside.chain(above)
}

/// Where the name of each point is written, in the order of the points; none where there's no room in `frame` beside what is `taken`: the
/// legend names it as well.
pub(super) fn places(
    points: &[((f64, f64), &str)],
    frame: Area,
    mut taken: Vec<Area>,
) -> Vec<Option<Label>> {
    taken.extend(points.iter().map(|&((x, y), _)| Area {
        left: x - MARK,
        right: x + MARK,
        top: y - MARK,
        bottom: y + MARK,
    }));
    let mut place = |&(point, name): &((f64, f64), &str)| {
        let free = |label: &Label| {
            let area = label.area(name);
            area.within(&frame) && !taken.iter().any(|other| other.meets(&area))
        };
        let label = candidates(point, name, frame).find(free)?;
        taken.push(label.area(name));
        Some(label)
    };
    points.iter().map(&mut place).collect()
}

/// About how wide a name is in letters of 12.5 pixels.
fn width(name: &str) -> f64 {
    name.chars()
        .map(|c| if c >= '\u{2e80}' { 12.5 } else { 7.0 })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Area = Area {
        left: 46.0,
        right: 684.0,
        top: 0.0,
        bottom: 296.0,
    };

    #[test]
    fn names_of_near_points_do_not_cover_each_other() {
        let names = [
            "lslo-seed1",
            "lslo-pruned-seed1",
            "lora-seed1",
            "計画",
            "full",
        ];
        let near = [
            (400.0, 90.0),
            (402.0, 92.0),
            (405.0, 99.0),
            (398.0, 84.0),
            (680.0, 20.0),
        ];
        let points: Vec<_> = near.into_iter().zip(names).collect();
        let base = Label {
            at: (52.0, 94.0),
            anchor: Anchor::Start,
        };
        let base = base.area("untouched base");
        let found = places(&points, FRAME, vec![base]);
        let areas: Vec<Area> = found
            .iter()
            .zip(names)
            .filter_map(|(label, name)| Some((*label)?.area(name)))
            .collect();
        assert!(areas.len() >= 4, "{found:?}");
        let areas = [areas, vec![base]].concat();
        for (i, one) in areas.iter().enumerate() {
            assert!(one.within(&FRAME));
            assert!(!areas[i + 1..].iter().any(|other| other.meets(one)));
        }
        // Nothing leaves the chart on the right.
        assert_eq!(found[4].unwrap().anchor, Anchor::End);
    }

    #[test]
    fn a_name_alone_stands_above_its_point() {
        let found = places(&[((100.0, 100.0), "run")], FRAME, Vec::new());
        let expected = Label {
            at: (109.0, 92.0),
            anchor: Anchor::Start,
        };
        assert_eq!(found, [Some(expected)]);
    }

    /// On a telephone a name that fits on neither side stands above its point, within the chart.
    #[test]
    fn a_long_name_is_centred() {
        let narrow = Area {
            right: 304.0,
            ..FRAME
        };
        let name = "lslo-plan-pruned-seed1";
        for x in [60.0, 170.0, 290.0] {
            let label = places(&[((x, 100.0), name)], narrow, Vec::new())[0].unwrap();
            assert!(label.area(name).within(&narrow));
            assert_eq!(label.anchor == Anchor::Middle, x == 170.0);
        }
    }

    #[test]
    fn a_name_without_room_is_left_out() {
        let name = "n".repeat(200);
        assert_eq!(
            places(&[((100.0, 100.0), &name)], FRAME, Vec::new()),
            [None]
        );
    }
}
