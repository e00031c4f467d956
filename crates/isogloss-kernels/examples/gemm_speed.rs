//! Speed of matrix products: GFLOP/s for shapes that matter, on each path, in each precision.
//!
//! `cargo run --release -p isogloss-kernels --example gemm_speed [threads...]` (1 and 2 unless given). Weights are bf16, (out, in).

use std::time::{Duration, Instant};

use isogloss_kernels::{
    Backend, Cpu, CpuError, Epilogue, KernelPath, Mat, MatMut, Precision, bf16,
};

/// What a shape is for, rows, columns, inner dimension.
const SHAPES: [(&str, usize, usize, usize); 8] = [
    ("square", 1024, 1024, 1024),
    ("feed-forward", 2000, 2048, 512),
    ("projection", 512, 512, 512),
    ("decoding", 32, 2048, 512),
    ("one row", 1, 2048, 512),
    ("down to rank 8", 2000, 8, 512),
    ("up from rank 8", 2000, 512, 8),
    ("head", 1024, 1024, 512),
];

fn main() -> Result<(), CpuError> {
    let given: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|x| x.parse().ok())
        .collect();
    let threads = if given.is_empty() { vec![1, 2] } else { given };
    print!("{:24}", "path, precision, threads");
    for (name, ..) in SHAPES {
        print!("{name:>16}");
    }
    println!("{:>16}", "gradient 512^2");
    for path in KernelPath::available() {
        for precision in [Precision::F32, Precision::Bf16] {
            for &threads in &threads {
                let cpu = Cpu::with_path(threads, path)?.with_precision(precision);
                print!("{:24}", format!("{path} {precision:?} {threads}"));
                for (_, m, n, k) in SHAPES {
                    print!("{:16.1}", product(&cpu, m, n, k));
                }
                println!("{:16.1}", gradient(&cpu, 512, 512, 2000));
            }
        }
    }
    Ok(())
}

fn values(len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0)
        .collect()
}

/// Activations times transposed weights.
fn product(cpu: &Cpu, m: usize, n: usize, k: usize) -> f64 {
    let (a, w) = (values(m * k), values(n * k));
    let w: Vec<bf16> = w.iter().map(|&x| bf16::from_f32(x)).collect();
    let mut c = vec![0.0; m * n];
    speed(m * n * k, || {
        let c = MatMut::new(&mut c, m, n);
        cpu.matmul(
            Mat::new(&a, m, k),
            Mat::bf16(&w, n, k).t(),
            Epilogue::default(),
            c,
        );
    })
}

/// The gradient of a weight: both operands are activations, one transposed.
fn gradient(cpu: &Cpu, m: usize, n: usize, k: usize) -> f64 {
    let (dy, x) = (values(k * m), values(k * n));
    let mut c = vec![0.0; m * n];
    speed(m * n * k, || {
        let c = MatMut::new(&mut c, m, n);
        cpu.matmul(
            Mat::new(&dy, k, m).t(),
            Mat::new(&x, k, n),
            Epilogue::accumulate(),
            c,
        );
    })
}

/// The best of several runs, in GFLOP/s.
fn speed(multiply_adds: usize, mut f: impl FnMut()) -> f64 {
    f();
    let (mut best, mut total, mut runs) = (Duration::MAX, Duration::ZERO, 0);
    while runs < 3 || (total < Duration::from_millis(60) && runs < 2000) {
        let start = Instant::now();
        f();
        let took = start.elapsed();
        (best, total, runs) = (best.min(took), total + took, runs + 1);
    }
    2.0 * multiply_adds as f64 / best.as_secs_f64() / 1e9
}
