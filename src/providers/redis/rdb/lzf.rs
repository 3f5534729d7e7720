//! LZF, as Redis compresses strings of more than 20 bytes (`lzf_d.c`).

use super::cursor::{Result, bad};

/// The most that one compressed byte can become: a back-reference of three bytes gives up to 264.
const EXPANSION: usize = 264;

/// Decompresses `input` to exactly `length` bytes.
pub(super) fn decompress(input: &[u8], length: usize) -> Result<Vec<u8>> {
    // Refused before anything is allocated for it.
    if length > input.len().saturating_mul(EXPANSION) {
        return bad("an LZF string claims to be longer than it can be");
    }
    let mut out = Vec::with_capacity(length);
    let mut rest = input;
    while let [control, tail @ ..] = rest {
        let control = usize::from(*control);
        if control < 32 {
            let count = control + 1;
            let Some((literal, tail)) = tail.split_at_checked(count) else {
                return bad("an LZF literal is cut off");
            };
            out.extend_from_slice(literal);
            rest = tail;
        } else {
            let (count, tail) = match (control >> 5, tail) {
                (7, [more, tail @ ..]) => (7 + usize::from(*more), tail),
                (7, []) => return bad("an LZF reference is cut off"),
                (short, tail) => (short, tail),
            };
            let [low, tail @ ..] = tail else {
                return bad("an LZF reference is cut off");
            };
            let back = ((control & 0x1f) << 8 | usize::from(*low)) + 1;
            let Some(from) = out.len().checked_sub(back) else {
                return bad("an LZF reference points before the string");
            };
            // The source may overlap what is being written.
            for at in from..from + count + 2 {
                out.push(out[at]);
            }
            rest = tail;
        }
        if out.len() > length {
            return bad("an LZF string is longer than it says");
        }
    }
    if out.len() != length {
        return bad("an LZF string is shorter than it says");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::decompress;

    #[test]
    fn literals_and_overlapping_references() {
        // Literal `a`, then nine more from one byte back: a long reference (7 + 0 + 2 bytes).
        assert_eq!(
            decompress(&[0, b'a', 0xe0, 0, 0], 10).expect("decompresses"),
            b"aaaaaaaaaa"
        );
        assert!(decompress(&[0, b'a', 0xe0, 0, 1], 10).is_err());
        assert!(decompress(&[0, b'a'], usize::MAX).is_err());
        assert!(decompress(&[5, b'a'], 6).is_err());
    }
}
