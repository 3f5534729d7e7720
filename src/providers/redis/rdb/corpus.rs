//! The reader against snapshots that servers of every RDB version wrote (`SAVE` on the same data), whole, cut and damaged.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const FILES: [(&str, u16, &[u8]); 5] = [
    (
        "redis-6.2",
        9,
        include_bytes!("../../../../tests/fixtures/redis/redis-6.2.rdb"),
    ),
    (
        "redis-7.0",
        10,
        include_bytes!("../../../../tests/fixtures/redis/redis-7.0.rdb"),
    ),
    (
        "valkey-8.1",
        11,
        include_bytes!("../../../../tests/fixtures/redis/valkey-8.1.rdb"),
    ),
    (
        "redis-8.0",
        12,
        include_bytes!("../../../../tests/fixtures/redis/redis-8.0.rdb"),
    ),
    (
        "redis-8.6",
        13,
        include_bytes!("../../../../tests/fixtures/redis/redis-8.6.rdb"),
    ),
];

/// What a snapshot holds: keys with their decoded values, libraries, and how much was read.
#[derive(Default)]
struct Read {
    version: u16,
    keys: BTreeMap<(u32, Vec<u8>), (Entry, Value)>,
    libraries: usize,
    used: usize,
}

fn read(bytes: &[u8]) -> Result<Read> {
    let (header, mut at) = header(bytes)?;
    let mut out = Read {
        version: header.version,
        ..Read::default()
    };
    let mut database = 0;
    loop {
        let (found, used) = item(bytes.get(at..).unwrap_or_default(), header.version)?;
        at += used;
        match found {
            Item::Database(number) => database = number,
            Item::Key(entry) => {
                let value = Payload::check(&entry.payload)?.decode()?;
                rows(database, &entry.key, entry.expiry, &value);
                out.keys
                    .insert((database, entry.key.clone()), (entry, value));
            }
            Item::Function(_) => out.libraries += 1,
            Item::End => break,
            _ => {}
        }
    }
    out.used = at;
    Cursor::new(&bytes[at..]).array::<8>()?; // the checksum
    Ok(out)
}

#[test]
fn every_server_s_snapshot_is_read_to_its_end() {
    let mut all = Vec::new();
    for (name, version, bytes) in FILES {
        let read = read(bytes).expect(name);
        assert_eq!(read.version, version, "{name}");
        assert_eq!(read.libraries, usize::from(version >= 10), "{name}");
        let stored = bytes[read.used..]
            .try_into()
            .expect("eight bytes of checksum");
        assert_eq!(
            crc64::update(0, &bytes[..read.used]),
            u64::from_le_bytes(stored),
            "{name}"
        );
        let of = |key: &str| &read.keys[&(0, key.as_bytes().to_vec())];
        assert!(of("s:exp").0.expiry > 0);
        assert!(matches!(of("s:lzf").0.usage, Usage::Frequency(_)), "{name}");
        assert!(matches!(&of("s:lzf").1, Value::String(s) if s.len() == 600));
        assert!(matches!(&of("l:plain").1, Value::List(items) if items[0].len() == 9_000));
        assert!(matches!(&of("set:many").1, Value::Set(members) if members.len() == 600));
        let Value::Stream(stream) = &of("stream").1 else {
            panic!("{name}: no stream")
        };
        assert_eq!(stream.entries.len(), 4);
        assert_eq!(stream.groups[b"g".as_slice()].pending.len(), 2);
        for key in ["h:small", "h:many"] {
            let Value::Hash(fields) = &of(key).1 else {
                panic!("{name}: no hash")
            };
            let expiring = fields.iter().filter(|f| f.expiry == 9_000_000_000_000);
            assert_eq!(expiring.count(), usize::from(version >= 12), "{name} {key}");
        }
        assert!(read.keys.contains_key(&(3, b"db3".to_vec())));
        assert_eq!(
            read.keys.contains_key(&(0, b"dedup".to_vec())),
            version == 13
        );
        all.push(read);
    }
    // What has no moment of the server's own is the same row on all of them.
    for key in [
        "s:int", "l:small", "i:ints", "set:few", "set:many", "z:small", "z:many",
    ] {
        let row = |read: &Read| {
            let (entry, value) = &read.keys[&(0, key.as_bytes().to_vec())];
            rows(0, &entry.key, entry.expiry, value)
        };
        let first = row(&all[0]);
        assert!(all.iter().all(|read| row(read) == first), "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_snapshots_never_panic(
        file in 0..FILES.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = FILES[file].2.to_vec();
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let _ = read(&bytes);
        let cut = cut.index(bytes.len());
        bytes.truncate(cut);
        let _ = read(&bytes);
        // Damage may say "end" earlier than the cut; without any, every cut is seen.
        prop_assert!(read(&FILES[file].2[..cut]).is_err());
    }
}
