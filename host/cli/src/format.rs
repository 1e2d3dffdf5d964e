//! Text for people: tables, durations, ages.

/// `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// `1.25 MiB`
pub fn bytes(n: u64) -> String {
    indicatif::BinaryBytes(n).to_string()
}

/// `1:02.50`: where a frame stands in the film.
pub fn clock(seconds: f64) -> String {
    let minutes = (seconds / 60.0).floor();
    format!("{minutes:.0}:{:05.2}", seconds - minutes * 60.0)
}

/// Columns as wide as their widest cell, two spaces apart; the head in capitals.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..head.len())
        .map(|i| {
            let cells = rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count());
            cells.chain(head.get(i).map(|h| h.chars().count())).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<String>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, &w)| format!("{cell:<w$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head = line(head.iter().map(|h| h.to_uppercase()).collect());
    std::iter::once(head).chain(rows.iter().cloned().map(line)).collect::<Vec<_>>().join("\n")
}

/// The first `max` characters, with an ellipsis when there are more; line breaks become spaces.
pub fn cut(text: &str, max: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= max {
        return text;
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(duration(0.44), "0.4 s");
        assert_eq!(duration(59.6), "1 min 0 s");
        assert_eq!(duration(7800.0), "2 h 10 min");
        assert_eq!(clock(62.5), "1:02.50");
    }

    #[test]
    fn tables_align() {
        let text = table(&["id", "name"], &[vec!["1".into(), "a".into()], vec!["100".into(), "b".into()]]);
        assert_eq!(text, "ID   NAME\n1    a\n100  b");
        assert_eq!(cut("one two  three", 8), "one two…");
    }
}
