//! Numbers as readers of a language write them.

use super::data::Price;
use super::text::Tongue;

/// Writes numbers for readers of one language.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub tongue: Tongue,
}

/// A typographic minus, as wide as a plus.
const MINUS: char = '\u{2212}';

/// Puts commas between groups of three digits of the whole part.
fn grouped(number: &str) -> String {
    let (whole, rest) = match number.find('.') {
        Some(at) => number.split_at(at),
        None => (number, ""),
    };
    let mut text = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

impl Format {
    pub(super) fn new(tongue: Tongue) -> Self {
        Format { tongue }
    }

    /// `1,234,567`.
    pub(super) fn integer(self, n: u64) -> String {
        grouped(&n.to_string())
    }

    /// `1,234.50`; a dash for what is no number.
    pub(super) fn decimal(self, x: f64, digits: usize) -> String {
        if !x.is_finite() {
            return "–".to_owned();
        }
        let size = grouped(&format!("{:.digits$}", x.abs()));
        let zero = size.bytes().all(|b| matches!(b, b'0' | b'.' | b','));
        match x < 0.0 && !zero {
            true => format!("{MINUS}{size}"),
            false => size,
        }
    }

    /// The same, with a plus before what is above 0.
    pub(super) fn signed(self, x: f64, digits: usize) -> String {
        let text = self.decimal(x, digits);
        let plain = text.bytes().all(|b| matches!(b, b'0' | b'.' | b','));
        match x > 0.0 && x.is_finite() && !plain {
            true => format!("+{text}"),
            false => text,
        }
    }

    /// A change as a reader sees it: of two decimals.
    pub(super) fn change(self, x: f64) -> String {
        self.signed(x, 2)
    }

    /// `[+1.20, +2.40]`, as `+1.20 to +2.40`.
    pub(super) fn range(self, [from, to]: [f64; 2]) -> String {
        let (from, to) = (self.change(from), self.change(to));
        match self.tongue {
            Tongue::English => format!("{from} to {to}"),
            Tongue::Japanese => format!("{from} ～ {to}"),
        }
    }

    /// A share of 1 as `12.3%`.
    pub(super) fn percent(self, share: f64) -> String {
        let digits = match share.abs() {
            x if x < 0.001 => 3,
            x if x < 0.01 => 2,
            _ => 1,
        };
        format!("{}%", self.decimal(100.0 * share, digits))
    }

    /// A level such as 0.95 as `95%`.
    pub(super) fn level(self, level: f64) -> String {
        let percent = (1e6 * level).round() / 1e4;
        format!("{percent}%")
    }

    /// `5.4 MB`: powers of 1,000.
    pub(super) fn bytes(self, bytes: u64) -> String {
        let mut size = bytes as f64;
        let mut unit = "B";
        for larger in ["kB", "MB", "GB", "TB"] {
            // What would be written as 1,000.
            if size < 999.5 {
                break;
            }
            size /= 1000.0;
            unit = larger;
        }
        let digits = match unit {
            "B" => 0,
            _ if size < 9.995 => 2,
            _ if size < 99.95 => 1,
            _ => 0,
        };
        format!("{}\u{a0}{unit}", self.decimal(size, digits))
    }

    /// A large number in short, for axes: `1.5M`, `149万`.
    pub(super) fn short(self, n: f64) -> String {
        let steps: &[(f64, &str)] = match self.tongue {
            Tongue::English => &[(1e9, "B"), (1e6, "M"), (1e3, "k")],
            Tongue::Japanese => &[(1e8, "億"), (1e4, "万")],
        };
        let found = steps.iter().find(|(size, _)| n >= *size);
        let (n, unit) = found.map_or((n, ""), |(size, unit)| (n / size, unit));
        let digits = usize::from(n < 99.95 && n.fract() > 0.05 && n.fract() < 0.95);
        format!("{}{unit}", self.decimal(n, digits))
    }

    /// `2 h 05 min`, `3 min 10 s`, `8 s`; `2時間05分`.
    pub(super) fn duration(self, seconds: f64) -> String {
        let t = self.tongue.text();
        let s = seconds.round().max(0.0) as u64;
        let part = |n: u64, unit: &str| match self.tongue {
            Tongue::English => format!("{}\u{a0}{unit}", self.integer(n)),
            Tongue::Japanese => format!("{}{unit}", self.integer(n)),
        };
        let second = |n: u64, unit: &str| match self.tongue {
            Tongue::English => format!(" {n:02}\u{a0}{unit}"),
            Tongue::Japanese => format!("{n:02}{unit}"),
        };
        match s {
            0..60 => part(s, t.unit_seconds),
            60..3600 => part(s / 60, t.unit_minutes) + &second(s % 60, t.unit_seconds),
            _ => part(s / 3600, t.unit_hours) + &second(s % 3600 / 60, t.unit_minutes),
        }
    }

    /// What so many seconds cost: `€0.02`, `12円`, `0.02 XAU`.
    pub(super) fn money(self, seconds: f64, price: &Price) -> String {
        let amount = price.of(seconds);
        self.amount(amount, &price.currency)
    }

    /// An amount of a currency. Small ones have more decimals, so that they aren't nothing.
    pub(super) fn amount(self, amount: f64, currency: &str) -> String {
        let whole = matches!(currency, "JPY" | "KRW" | "VND" | "CLP" | "ISK");
        let digits = match (whole, amount) {
            (_, a) if a > 0.0 && a < 0.001 => 5,
            (_, a) if a > 0.0 && a < 0.1 => 3,
            (true, a) if a < 10.0 => 1,
            (true, _) => 0,
            (false, _) => 2,
        };
        let number = self.decimal(amount, digits);
        match (currency, self.tongue) {
            ("JPY", Tongue::Japanese) => format!("{number}円"),
            ("JPY", Tongue::English) => format!("¥{number}"),
            ("EUR", _) => format!("€{number}"),
            ("USD", _) => format!("${number}"),
            ("GBP", _) => format!("£{number}"),
            _ => format!("{number}\u{a0}{currency}"),
        }
    }

    /// A p-value.
    pub(super) fn p(self, p: f64) -> String {
        match p < 0.0001 {
            true => "< 0.0001".to_owned(),
            false => self.decimal(p, 4),
        }
    }

    /// `2026-11-27` as `27 November 2026` or `2026年11月27日`.
    pub(super) fn date(self, date: &str) -> String {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        let parts: Vec<usize> = date
            .split('-')
            .filter_map(|part| part.parse().ok())
            .collect();
        match (&parts[..], self.tongue) {
            (&[y, m @ 1..=12, d], Tongue::English) => format!("{d} {} {y}", MONTHS[m - 1]),
            (&[y, m @ 1..=12, d], Tongue::Japanese) => format!("{y}年{m}月{d}日"),
            _ => date.to_owned(),
        }
    }

    /// `German → English`.
    pub(super) fn direction(self, direction: &crate::language::Direction) -> String {
        let name = |language| self.tongue.name(language);
        format!("{} → {}", name(&direction.source), name(&direction.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EN: Format = Format {
        tongue: Tongue::English,
    };
    const JA: Format = Format {
        tongue: Tongue::Japanese,
    };

    #[test]
    fn numbers_have_groups_signs_and_no_minus_zero() {
        assert_eq!(EN.integer(1_234_567), "1,234,567");
        assert_eq!(EN.integer(123), "123");
        assert_eq!(EN.decimal(-1234.567, 1), "−1,234.6");
        assert_eq!(EN.decimal(f64::NAN, 1), "–");
        assert_eq!(EN.change(0.004), "0.00");
        assert_eq!(EN.change(-0.004), "0.00");
        assert_eq!(EN.change(2.345), "+2.35");
        assert_eq!(EN.change(-0.5), "−0.50");
        assert_eq!(EN.range([-0.1, 2.0]), "−0.10 to +2.00");
        assert_eq!(JA.range([-0.1, 2.0]), "−0.10 ～ +2.00");
        assert_eq!(EN.percent(0.1357), "13.6%");
        assert_eq!(EN.percent(0.00416), "0.42%");
        assert_eq!(EN.level(0.95), "95%");
        assert_eq!(EN.level(0.999), "99.9%");
        assert_eq!(
            (EN.p(0.00001), EN.p(0.01234)),
            ("< 0.0001".into(), "0.0123".into())
        );
    }

    #[test]
    fn sizes_and_times_have_units() {
        let bytes = [
            0,
            999,
            1000,
            5_402_880,
            21_977_272,
            999_600,
            999_400,
            3_400_000_000,
        ];
        let found = bytes.map(|n| EN.bytes(n).replace('\u{a0}', " "));
        let expected = [
            "0 B", "999 B", "1.00 kB", "5.40 MB", "22.0 MB", "1.00 MB", "999 kB", "3.40 GB",
        ];
        assert_eq!(found, expected);
        let times = [0.4, 59.6, 190.0, 7500.0, 3_600_000.0];
        let found = times.map(|s| EN.duration(s).replace('\u{a0}', " "));
        assert_eq!(
            found,
            [
                "0 s",
                "1 min 00 s",
                "3 min 10 s",
                "2 h 05 min",
                "1,000 h 00 min"
            ]
        );
        assert_eq!(
            times.map(|s| JA.duration(s)),
            ["0秒", "1分00秒", "3分10秒", "2時間05分", "1,000時間00分"]
        );
        let numbers = [950.0, 1500.0, 1_492_992.0, 615e6, 2e9];
        assert_eq!(
            numbers.map(|n| EN.short(n)),
            ["950", "1.5k", "1.5M", "615M", "2B"]
        );
        assert_eq!(
            numbers.map(|n| JA.short(n)),
            ["950", "1,500", "149万", "6.2億", "20億"]
        );
    }

    #[test]
    fn money_is_written_as_its_currency_is() {
        let of = |per_hour: f64, currency: &str| Price {
            per_hour,
            currency: currency.into(),
        };
        assert_eq!(EN.money(3600.0, &of(1.5, "EUR")), "€1.50");
        assert_eq!(EN.money(64.0, &of(1.0, "USD")), "$0.018");
        assert_eq!(JA.money(7200.0, &of(150.0, "JPY")), "300円");
        assert_eq!(EN.money(7200.0, &of(15000.0, "JPY")), "¥30,000");
        assert_eq!(EN.money(36.0, &of(0.0, "CHF")), "0.00\u{a0}CHF");
    }

    #[test]
    fn dates_and_directions_are_written_out() {
        assert_eq!(EN.date("2026-11-07"), "7 November 2026");
        assert_eq!(JA.date("2026-11-07"), "2026年11月7日");
        assert_eq!(EN.date("2026-13-07"), "2026-13-07");
        let direction = "deu_Latn-jpn_Jpan".parse().unwrap();
        assert_eq!(EN.direction(&direction), "German → Japanese");
        assert_eq!(JA.direction(&direction), "ドイツ語 → 日本語");
    }
}
