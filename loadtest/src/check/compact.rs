//! Compact lines.

/// What differs between two compact lines, in letters only: nobody's numbers are repeated.
pub(super) fn difference(expected: &[u8], came: Option<&[u8]>) -> String {
    let Some(came) = came else { return format!("expected {}, got no line", letters(expected)) };
    let (expected_letters, came_letters) = (letters(expected), letters(came));
    if expected_letters != came_letters {
        return format!("expected {expected_letters}, got {came_letters}");
    }
    let mut parts = Vec::new();
    for (nth, name) in ["payer number", "recipient number", "valid to"].into_iter().enumerate() {
        if entries(expected).map(|entry| part(entry, nth)).ne(entries(came).map(|entry| part(entry, nth))) {
            parts.push(name);
        }
    }
    format!("{expected_letters} as expected, but another {}", parts.join(", "))
}

/// The entitlements of a compact line.
pub(super) fn entries(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.trim_ascii_end().split(|byte| *byte == b'\t').skip(1)
}

/// Part of an entitlement: payer number, recipient number, last day, letter.
pub(super) fn part(entry: &[u8], nth: usize) -> &[u8] {
    entry.split(|byte| *byte == b'/').nth(nth).unwrap_or_default()
}

/// `E:EX`: the overall letter and those of the entitlements. An error's code stays as it is.
pub(super) fn letters(line: &[u8]) -> String {
    if line.starts_with(b"!") {
        return String::from_utf8_lossy(line.trim_ascii_end()).replace('\t', " ");
    }
    let first = line.first().map_or('?', |letter| char::from(*letter));
    let rest: String = entries(line).map(|entry| part(entry, 3).first().map_or('?', |letter| char::from(*letter))).collect();
    if rest.is_empty() { first.to_string() } else { format!("{first}:{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_its_kind_and_nobody() {
        let expected = b"E\t54136015/1234567/2027-09-30/E\t88138243/7654321/2026-03-31/X\n";
        assert_eq!(difference(expected, None), "expected E:EX, got no line");
        assert_eq!(difference(expected, Some(b"N\n")), "expected E:EX, got N");
        assert_eq!(difference(expected, Some(b"!\tbad_line\n")), "expected E:EX, got ! bad_line");
        let other = b"E\t54136015/1234567/2027-09-30/E\t88138243/7654322/2026-03-30/X\n";
        assert_eq!(difference(expected, Some(other)), "E:EX as expected, but another recipient number, valid to");
    }
}
