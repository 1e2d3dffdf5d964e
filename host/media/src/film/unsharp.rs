//! The unsharp mask on Y′: the difference from a Gaussian blur, added back.

/// Of the Gaussian, in pixels; the contract of the cross-fade role fixes it.
const SIGMA: f32 = 3.0;

/// Taps to either side: three deviations.
const RADIUS: usize = 9;

/// Where Y′ ends; overshoot is clipped to it.
const BLACK: f32 = 16.0;
const WHITE: f32 = 235.0;

/// `y + amount · (y − blur(y))` for a plane of 8-bit code values; the edges are continued.
pub(super) fn sharpened(luma: &[f32], width: usize, amount: f32) -> Vec<f32> {
    let kernel = kernel();
    let across = blur_rows(luma, width, &kernel);
    let mut out = Vec::with_capacity(luma.len());
    let rows: Vec<&[f32]> = across.chunks_exact(width.max(1)).collect();
    let mut blurred = vec![0.0f32; width];
    for (y, row) in luma.chunks_exact(width.max(1)).enumerate() {
        blurred.fill(0.0);
        for (tap, weight) in kernel.iter().enumerate() {
            let from = (y + tap).saturating_sub(RADIUS).min(rows.len().saturating_sub(1));
            for (sum, v) in blurred.iter_mut().zip(rows.get(from).copied().unwrap_or_default()) {
                *sum += weight * v;
            }
        }
        out.extend(row.iter().zip(&blurred).map(|(v, b)| (v + amount * (v - b)).clamp(BLACK, WHITE)));
    }
    out
}

fn blur_rows(luma: &[f32], width: usize, kernel: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(luma.len());
    let mut padded = Vec::with_capacity(width + 2 * RADIUS);
    for row in luma.chunks_exact(width.max(1)) {
        let (first, last) = (row.first().copied().unwrap_or(0.0), row.last().copied().unwrap_or(0.0));
        padded.clear();
        padded.extend([first; RADIUS]);
        padded.extend_from_slice(row);
        padded.extend([last; RADIUS]);
        out.extend(padded.windows(kernel.len()).map(|taps| taps.iter().zip(kernel).map(|(v, k)| v * k).sum::<f32>()));
    }
    out
}

fn kernel() -> [f32; 2 * RADIUS + 1] {
    let weights: [f32; 2 * RADIUS + 1] = std::array::from_fn(|i| {
        let x = i as f32 - RADIUS as f32;
        (-x * x / (2.0 * SIGMA * SIGMA)).exp()
    });
    let sum: f32 = weights.iter().sum();
    weights.map(|w| w / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_gets_steeper_and_stays_in_range() {
        let plane: Vec<f32> = (0..32).flat_map(|_| (0..32).map(|x| if x < 16 { 60.0 } else { 180.0 })).collect();
        let sharp = sharpened(&plane, 32, 0.5);
        let row = &sharp[16 * 32..17 * 32];
        assert!(row[15] < 50.0 && row[16] > 190.0, "{row:?}");
        assert!((row[0] - 60.0).abs() < 0.01 && (row[31] - 180.0).abs() < 0.01);
        assert!(sharpened(&plane, 32, 10.0).iter().all(|v| (BLACK..=WHITE).contains(v)));
    }
}
