use isogloss_kernels::{Backend, Cpu, LabelSmoothing, Mat, Precision, Reference, SmoothingKind};
use proptest::prelude::*;

use crate::{assert_close, backends, cases, rounded, to_bf16, values, widen};

#[derive(Debug, Clone, Copy)]
struct Case {
    n: usize,
    classes: usize,
    width: usize,
    half: bool,
    smoothing: LabelSmoothing,
}

/// Loss, likelihood, gradient of the hidden states and of the table.
fn run(cpu: &Cpu, case: Case, h: &[f32], table: Mat<'_, f32>, targets: &[u32]) -> [Vec<f32>; 4] {
    let Case {
        n, classes, width, ..
    } = case;
    let mut got = [
        vec![f32::NAN; n],
        vec![f32::NAN; n],
        vec![f32::NAN; n * width],
        vec![0.25; classes * width],
    ];
    let [loss, nll, dh, dtable] = &mut got;
    cpu.head_loss(
        h,
        table,
        targets,
        case.smoothing,
        loss,
        nll,
        Some(dh),
        Some(dtable),
    );
    got
}

fn check(cpus: impl Iterator<Item = Cpu>, case: Case, tolerance: f64) {
    let Case {
        n, classes, width, ..
    } = case;
    let h: Vec<f32> = values(1, n * width).iter().map(|x| x * 3.0).collect();
    let table = values(2, classes * width);
    let table = if case.half { rounded(&table) } else { table };
    let targets: Vec<u32> = (0..n).map(|i| (i * 7919 % classes) as u32).collect();

    let table64 = widen(&table);
    let mut expected = [
        vec![0.0; n],
        vec![0.0; n],
        vec![0.0; n * width],
        vec![0.25; classes * width],
    ];
    let [loss, nll, dh, dtable] = &mut expected;
    let view = Mat::new(&table64, classes, width);
    Reference::<f64>::new().head_loss(
        &widen(&h),
        view,
        &targets,
        case.smoothing,
        loss,
        nll,
        Some(dh),
        Some(dtable),
    );

    let table_half = to_bf16(&table);
    let view = if case.half {
        Mat::bf16(&table_half, classes, width)
    } else {
        Mat::new(&table, classes, width)
    };
    for cpu in cpus {
        let got = run(&cpu, case, &h, view, &targets);
        for (name, (got, expected)) in ["loss", "nll", "dh", "dtable"]
            .iter()
            .zip(got.iter().zip(&expected))
        {
            assert_close(
                &cpu,
                &format!("{name} of {case:?}"),
                got,
                expected,
                tolerance,
            );
        }
        let (mut loss, mut nll) = (vec![0.0; n], vec![0.0; n]);
        cpu.head_loss(
            &h,
            view,
            &targets,
            case.smoothing,
            &mut loss,
            &mut nll,
            None,
            None,
        );
        assert_eq!(
            (&loss, &nll),
            (&got[0], &got[1]),
            "loss without gradients ({cpu:?})"
        );
    }
}

fn smoothing() -> impl Strategy<Value = LabelSmoothing> {
    let kind = prop_oneof![Just(SmoothingKind::Uniform), Just(SmoothingKind::Fairseq)];
    (prop_oneof![Just(0.0f32), Just(0.1), Just(0.6)], kind)
        .prop_map(|(eps, kind)| LabelSmoothing { eps, kind })
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn head_and_loss_equal_the_reference(
        n in 0usize..30,
        classes in 2usize..60,
        width in 1usize..40,
        half: bool,
        smoothing in smoothing(),
    ) {
        check(backends(), Case { n, classes, width, half, smoothing }, 5e-5);
    }
}

#[test]
fn a_vocabulary_and_a_batch_of_several_blocks() {
    let smoothing = LabelSmoothing {
        eps: 0.1,
        kind: SmoothingKind::Uniform,
    };
    check(
        backends(),
        Case {
            n: 1030,
            classes: 2500,
            width: 8,
            half: true,
            smoothing,
        },
        1e-4,
    );
}

#[test]
fn in_bf16_the_loss_stays_within_its_rounding() {
    let smoothing = LabelSmoothing {
        eps: 0.1,
        kind: SmoothingKind::Fairseq,
    };
    let cpus = backends().map(|cpu| cpu.with_precision(Precision::Bf16));
    check(
        cpus,
        Case {
            n: 40,
            classes: 1300,
            width: 32,
            half: true,
            smoothing,
        },
        3e-2,
    );
}
