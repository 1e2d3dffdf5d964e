//! Spans of frames to keep, in the form that the contract wants.

use travel::Span;

/// The union of spans: rising, apart, none empty. Spans beyond `u32` are dropped.
#[must_use]
pub fn union(spans: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let mut spans: Vec<(u32, u32)> =
        spans.into_iter().filter_map(|s| Some((s.start, s.end()?))).filter(|(start, end)| start < end).collect();
    spans.sort_unstable();
    let mut union: Vec<(u32, u32)> = Vec::new();
    for (start, end) in spans {
        match union.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => union.push((start, end)),
        }
    }
    union.into_iter().map(|(start, end)| Span::new(start, end - start)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_and_overlapping_spans_become_one() {
        let spans = [(9, 3), (0, 4), (4, 1), (3, 1), (7, 0), (u32::MAX, 2)].map(|(s, c)| Span::new(s, c));
        assert_eq!(union(spans), [Span::new(0, 5), Span::new(9, 3)]);
    }
}
