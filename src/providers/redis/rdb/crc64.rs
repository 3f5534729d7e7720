//! The checksum of RDB files and `DUMP` payloads: CRC-64 of Jones, reflected, without inversion (`crc64.c`).

/// 0xad93d23594c935a9 with its bits reversed.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// Tables for eight bytes at a time.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0_u64; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut slice = 1;
    while slice < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[slice - 1][byte];
            tables[slice][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        slice += 1;
    }
    tables
}

/// The checksum of `bytes` that follow what gave `crc`; begin with 0.
pub fn update(crc: u64, bytes: &[u8]) -> u64 {
    let mut crc = crc;
    let mut eights = bytes.chunks_exact(8);
    for eight in eights.by_ref() {
        let mut word = [0; 8];
        word.copy_from_slice(eight);
        let mixed = (crc ^ u64::from_le_bytes(word)).to_le_bytes();
        crc = 0;
        for (at, byte) in mixed.iter().enumerate() {
            crc ^= TABLES[7 - at][*byte as usize];
        }
    }
    for byte in eights.remainder() {
        crc = (crc >> 8) ^ TABLES[0][((crc ^ u64::from(*byte)) & 0xff) as usize];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::update;

    #[test]
    fn the_published_check_value() {
        // The self-test of crc64.c.
        assert_eq!(update(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let text = b"This is a test of the emergency broadcast system, in pieces.";
        assert_eq!(update(update(0, &text[..13]), &text[13..]), update(0, text));
    }
}
