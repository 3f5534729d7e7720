//! LZF, as Redis compresses strings of more than 20 bytes (`lzf_d.c`).

use super::cursor::{Result, Stop, bad};

/// The most that one compressed byte can become: a back-reference of three bytes gives up to 264.
const EXPANSION: usize = 264;

/// How far back a reference may point.
const WINDOW: usize = 8 * 1024;

/// Refuses a length that so many bytes cannot become, before anything is allocated for it.
fn believable(packed: usize, length: usize) -> Result<()> {
    match length > packed.saturating_mul(EXPANSION) {
        true => bad("an LZF string claims to be longer than it can be"),
        false => Ok(()),
    }
}

/// Decompresses `input` to exactly `length` bytes.
pub(super) fn decompress(input: &[u8], length: usize) -> Result<Vec<u8>> {
    believable(input.len(), length)?;
    let mut out = Vec::with_capacity(length);
    let mut rest = input;
    while !rest.is_empty() {
        let used = match step(rest, &mut out) {
            Err(Stop::Short) => return bad(CUT_OFF),
            used => used?,
        };
        rest = rest.get(used..).unwrap_or_default();
        if out.len() > length {
            return bad(LONGER);
        }
    }
    if out.len() != length {
        return bad(SHORTER);
    }
    Ok(out)
}

const CUT_OFF: &str = "an LZF string is cut off";
const LONGER: &str = "an LZF string is longer than it says";
const SHORTER: &str = "an LZF string is shorter than it says";

/// Carries out one instruction behind what is there; gives its length.
fn step(input: &[u8], out: &mut Vec<u8>) -> Result<usize> {
    let [control, tail @ ..] = input else {
        return Err(Stop::Short);
    };
    let control = usize::from(*control);
    if control < 32 {
        let literal = tail.get(..=control).ok_or(Stop::Short)?;
        out.extend_from_slice(literal);
        return Ok(1 + literal.len());
    }
    let (count, low, used) = match (control >> 5, tail) {
        (7, [more, low, ..]) => (7 + usize::from(*more), low, 3),
        (short @ 1..7, [low, ..]) => (short, low, 2),
        _ => return Err(Stop::Short),
    };
    let back = ((control & 0x1f) << 8 | usize::from(*low)) + 1;
    let Some(from) = out.len().checked_sub(back) else {
        return bad("an LZF reference points before the string");
    };
    // The source may overlap what is being written.
    for at in from..from + count + 2 {
        out.push(out[at]);
    }
    Ok(used)
}

/// A string that is decompressed as it comes.
#[derive(Debug, Clone)]
pub(super) struct Unpacking {
    packed: usize,
    left: usize,
    /// The end of what came, where references point to.
    recent: Vec<u8>,
}

impl Unpacking {
    /// Of so many bytes, which become so many.
    pub(super) fn new(packed: usize, length: usize) -> Result<Unpacking> {
        believable(packed, length)?;
        if length == 0 {
            return bad(LONGER);
        }
        Ok(Unpacking {
            packed,
            left: length,
            recent: Vec::new(),
        })
    }

    /// Decompresses to `out` until that has `most` bytes or the string ends; gives how much was taken.
    /// [`Stop::Short`] asks for more bytes than there are.
    pub(super) fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>, most: usize) -> Result<usize> {
        let mut used = 0;
        while self.packed > 0 && out.len() < most {
            let rest = bytes.get(used..).unwrap_or_default();
            let rest = rest.get(..self.packed).unwrap_or(rest);
            let before = self.recent.len();
            let length = match step(rest, &mut self.recent) {
                Err(Stop::Short) if rest.len() == self.packed => return bad(CUT_OFF),
                Err(Stop::Short) if used > 0 => break,
                length => length?,
            };
            let new = self.recent.get(before..).unwrap_or_default();
            out.extend_from_slice(new);
            let Some(left) = self.left.checked_sub(new.len()) else {
                return bad(LONGER);
            };
            self.left = left;
            (used, self.packed) = (used + length, self.packed - length);
            if self.recent.len() > 8 * WINDOW {
                self.recent.drain(..self.recent.len() - WINDOW);
            }
        }
        match (self.packed, self.left) {
            (0, 1..) => bad(SHORTER),
            _ => Ok(used),
        }
    }

    /// Whether all of it came.
    pub(super) fn is_over(&self) -> bool {
        self.packed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_comes_in_bits_is_the_same() {
        // Literals, short and long references over more than the window, and one from its far end.
        let mut packed = vec![31];
        packed.extend(0..32);
        for n in 0_u8..200 {
            packed.extend([0xe0, n, 31, 0x20, n, 1, n, n]);
        }
        packed.extend([0xff, 200, 0xff]);
        let length = 32 + (0..200).map(|n| 7 + n + 2 + 3 + 2).sum::<usize>() + 209;
        let whole = decompress(&packed, length).expect("decompresses");
        for (step, most) in [(1, 100), (7, 1), (1_000, 5_000), (100_000, 100_000)] {
            let mut unpacking = Unpacking::new(packed.len(), length).expect("may be");
            let (mut out, mut at, mut window) = (Vec::new(), 0, step);
            while !unpacking.is_over() {
                let mut piece = Vec::new();
                let view = &packed[at..packed.len().min(at + window)];
                match unpacking.take(view, &mut piece, most) {
                    Ok(used) => (at, window) = (at + used, step),
                    Err(stop) => {
                        assert_eq!(stop, Stop::Short);
                        window += step;
                    }
                }
                assert!(piece.len() < most + EXPANSION);
                out.extend(piece);
            }
            assert!(out == whole && at == packed.len());
        }
        for wrong in [length - 1, length + 1] {
            let mut unpacking = Unpacking::new(packed.len(), wrong).expect("may be");
            let taken = unpacking.take(&packed, &mut Vec::new(), usize::MAX);
            assert!(matches!(taken, Err(Stop::Bad(_))));
        }
    }
}
