//! The decoder against hand-made bytes of every encoding, and against noise.

use proptest::prelude::*;

use super::*;

/// A length in the 6-bit or 14-bit form.
fn length(n: usize) -> Vec<u8> {
    if n < 64 {
        vec![n as u8]
    } else {
        vec![0x40 | (n >> 8) as u8, n as u8]
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [length(bytes.len()), bytes.to_vec()].concat()
}

fn listpack(elements: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for element in elements {
        body.push(0x80 | element.len() as u8);
        body.extend_from_slice(element);
        body.push(element.len() as u8 + 1);
    }
    let total = (body.len() + 7) as u32;
    [
        total.to_le_bytes().to_vec(),
        (elements.len() as u16).to_le_bytes().to_vec(),
        body,
        vec![0xff],
    ]
    .concat()
}

fn ziplist(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut before = 0;
    for entry in entries {
        if before < 254 {
            body.push(before as u8);
        } else {
            body.push(0xfe);
            body.extend_from_slice(&(before as u32).to_le_bytes());
        }
        body.extend_from_slice(entry);
        before = entry.len() + if before < 254 { 1 } else { 5 };
    }
    let total = (body.len() + 11) as u32;
    [
        total.to_le_bytes().to_vec(),
        vec![0; 4],
        (entries.len() as u16).to_le_bytes().to_vec(),
        body,
        vec![0xff],
    ]
    .concat()
}

fn texts(items: &[&str]) -> Vec<Vec<u8>> {
    items.iter().map(|i| i.as_bytes().to_vec()).collect()
}

#[test]
fn every_integer_of_a_listpack() {
    let body = [
        vec![0x7f, 1],
        vec![0xdf, 0xff, 2],
        vec![0xd0, 0x00, 2],
        vec![0xf1, 0x00, 0x80, 3],
        vec![0xf2, 0xff, 0xff, 0x7f, 4],
        vec![0xf2, 0x00, 0x00, 0x80, 4],
        [vec![0xf3], i32::MIN.to_le_bytes().to_vec(), vec![5]].concat(),
        [vec![0xf4], i64::MIN.to_le_bytes().to_vec(), vec![9]].concat(),
    ]
    .concat();
    let total = (body.len() + 7) as u32;
    let bytes = [total.to_le_bytes().to_vec(), vec![8, 0], body, vec![0xff]].concat();
    let value = decode(kind::SET_LISTPACK, &string(&bytes), 11).expect("decodes");
    let mut expected = texts(&[
        "127",
        "-1",
        "-4096",
        "-32768",
        "8388607",
        "-8388608",
        "-2147483648",
        "-9223372036854775808",
    ]);
    expected.sort();
    assert_eq!(value, Value::Set(expected));
}

#[test]
fn every_encoding_of_a_ziplist() {
    let long = vec![b'x'; 300];
    let bytes = ziplist(&[
        vec![0x02, b'h', b'i'],
        [vec![0x41, 0x2c], long.clone()].concat(),
        vec![0xf1],
        vec![0xfd],
        vec![0xfe, 0x80],
        vec![0xc0, 0x00, 0x80],
        vec![0xf0, 0x00, 0x00, 0x80],
        [vec![0xd0], i32::MAX.to_le_bytes().to_vec()].concat(),
        [vec![0xe0], i64::MAX.to_le_bytes().to_vec()].concat(),
        [vec![0x80, 0, 0, 0, 2], b"ab".to_vec()].concat(),
    ]);
    let mut expected = texts(&["hi"]);
    expected.push(long);
    expected.extend(texts(&[
        "0",
        "12",
        "-128",
        "-32768",
        "-8388608",
        "2147483647",
        "9223372036854775807",
        "ab",
    ]));
    let value = decode(kind::LIST_ZIPLIST, &string(&bytes), 6).expect("decodes");
    assert_eq!(value, Value::List(expected.clone()));
    // The quicklist of Redis 3.2 to 6.2 is a list of ziplists.
    let quick = [length(2), string(&bytes), string(&ziplist(&[vec![0xf2]]))].concat();
    expected.push(b"1".to_vec());
    assert_eq!(
        decode(kind::LIST_QUICKLIST, &quick, 9).expect("decodes"),
        Value::List(expected)
    );
}

#[test]
fn one_content_in_many_encodings_has_one_row() {
    let hash = [
        (
            kind::HASH,
            [
                length(2),
                string(b"a"),
                string(b"1"),
                string(b"b"),
                string(b"2"),
            ]
            .concat(),
        ),
        (
            kind::HASH,
            [
                length(2),
                string(b"b"),
                vec![0xc0, 2],
                string(b"a"),
                vec![0xc1, 1, 0],
            ]
            .concat(),
        ),
        (
            kind::HASH_LISTPACK,
            string(&listpack(&[b"b", b"2", b"a", b"1"])),
        ),
        (
            kind::HASH_ZIPLIST,
            string(&ziplist(&[
                vec![1, b'a'],
                vec![0xf2],
                vec![1, b'b'],
                vec![0xf3],
            ])),
        ),
    ];
    let set = [
        (kind::SET, [length(2), string(b"7"), string(b"-3")].concat()),
        (
            kind::SET_INTSET,
            string(&[2, 0, 0, 0, 2, 0, 0, 0, 0xfd, 0xff, 7, 0]),
        ),
        (kind::SET_LISTPACK, string(&listpack(&[b"7", b"-3"]))),
    ];
    let zset = [
        (
            kind::ZSET,
            [
                length(2),
                string(b"m"),
                vec![3],
                b"1.5".to_vec(),
                string(b"n"),
                vec![254],
            ]
            .concat(),
        ),
        (
            kind::ZSET_2,
            [
                length(2),
                string(b"n"),
                f64::INFINITY.to_le_bytes().to_vec(),
                string(b"m"),
                1.5_f64.to_le_bytes().to_vec(),
            ]
            .concat(),
        ),
        (
            kind::ZSET_LISTPACK,
            string(&listpack(&[b"m", b"1.5", b"n", b"inf"])),
        ),
    ];
    for group in [&hash[..], &set[..], &zset[..]] {
        let mut seen = Vec::new();
        for (kind, bytes) in group {
            let value = decode(*kind, bytes, 11).expect("decodes");
            seen.push(rows(0, b"k", 5, &value));
        }
        seen.dedup();
        assert_eq!(seen.len(), 1);
    }
}

#[test]
fn fields_with_their_own_expiry() {
    let lp = listpack(&[b"a", b"1", b"1700000000123", b"b", b"2", b"0"]);
    let expected = Value::Hash(vec![
        Field {
            name: b"a".to_vec(),
            value: b"1".to_vec(),
            expiry: 1_700_000_000_123,
        },
        Field {
            name: b"b".to_vec(),
            value: b"2".to_vec(),
            expiry: 0,
        },
    ]);
    let earliest = 1_700_000_000_123_u64.to_le_bytes().to_vec();
    let ex = [earliest.clone(), string(&lp)].concat();
    assert_eq!(
        decode(kind::HASH_LISTPACK_EX, &ex, 12).expect("decodes"),
        expected
    );
    assert_eq!(
        decode(kind::HASH_LISTPACK_EX_PRE_GA, &string(&lp), 12).expect("decodes"),
        expected
    );
    let table = [
        earliest,
        length(2),
        length(0),
        string(b"b"),
        string(b"2"),
        length(1),
        string(b"a"),
        string(b"1"),
    ]
    .concat();
    assert_eq!(
        decode(kind::HASH_METADATA, &table, 12).expect("decodes"),
        expected
    );
    let valkey = [
        length(2),
        string(b"a"),
        string(b"1"),
        1_700_000_000_123_i64.to_le_bytes().to_vec(),
        string(b"b"),
        string(b"2"),
        (-1_i64).to_le_bytes().to_vec(),
    ]
    .concat();
    assert_eq!(
        decode(kind::HASH_METADATA_PRE_GA, &valkey, VALKEY).expect("decodes"),
        expected
    );
    // One row for what stays, one for the field that goes.
    let rows = rows(0, b"k", 0, &expected);
    assert_eq!(
        rows.iter().map(|r| r.expiry).collect::<Vec<_>>(),
        [0, 1_700_000_000_123]
    );
}

#[test]
fn every_prefix_of_a_value_is_short_and_never_wrong() {
    let value = [
        length(2),
        string(b"a"),
        string(b"1"),
        string(b"b"),
        string(&[7; 200]),
    ]
    .concat();
    let key = [
        vec![252],
        9_u64.to_le_bytes().to_vec(),
        vec![kind::HASH],
        string(b"key"),
        value.clone(),
    ]
    .concat();
    for cut in 0..key.len() {
        assert_eq!(item(&key[..cut], 10), Err(Stop::Short), "at {cut}");
    }
    let (found, used) = item(&key, 10).expect("reads");
    assert_eq!(used, key.len());
    let Item::Key(entry) = found else {
        panic!("not a key")
    };
    assert_eq!((entry.key.as_slice(), entry.expiry), (&b"key"[..], 9));
    let payload = Payload::check(&entry.payload).expect("is sealed");
    payload.is_one_value().expect("one value");
    assert!(matches!(payload.decode().expect("decodes"), Value::Hash(f) if f.len() == 2));
}

#[test]
fn damage_is_found() {
    let good = Payload::build(kind::STRING, &string(b"value"), 10);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(Payload::check(&bad).is_err(), "byte {at}");
    }
    assert!(Payload::check(&good[..9]).is_err());
    assert_eq!(decode(28, &[0; 40], 15), Err(Stop::Unknown(28)));
    assert!(decode(kind::HASH_ZIPMAP, &string(&[0, 0xff]), 6).is_err());
}

#[test]
fn functions_travel_through_a_dump() {
    let code = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    let dump = function_dump([&code[..]], 10);
    assert_eq!(functions(&dump).expect("reads"), (vec![code.to_vec()], 10));
}

proptest! {
    #[test]
    fn noise_never_panics(kind in 0_u8..30, version in prop::sample::select(vec![6_u16, 9, 10, 11, 12, 13, 80]), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(kind, &bytes, version);
        let _ = item(&bytes, version);
        let _ = header(&bytes);
        let _ = functions(&bytes);
        if let Ok(value) = decode(kind, &bytes, version) {
            // What decodes has the length that cutting finds.
            let mut framed = vec![kind, 0];
            framed.extend_from_slice(&bytes);
            let (_, used) = item(&framed, version).expect("cuts what it decodes");
            prop_assert_eq!(used, framed.len());
            rows(0, b"k", 0, &value);
        }
    }

    #[test]
    fn damaged_streams_never_panic(at in 0_usize..400, byte in any::<u8>()) {
        let mut bytes = STREAM.to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = decode(kind::STREAM_LISTPACKS_2, &bytes, 10);
    }

    #[test]
    fn sets_do_not_depend_on_order(members in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..40), 1..30), shift in 0_usize..30) {
        let plain: Vec<Vec<u8>> = members.iter().cloned().collect();
        let mut turned = plain.clone();
        turned.rotate_left(shift % plain.len());
        let encode = |items: &[Vec<u8>]| {
            [length(items.len()), items.iter().flat_map(|i| string(i)).collect()].concat()
        };
        let a = decode(kind::SET, &encode(&plain), 10).expect("decodes");
        let b = decode(kind::SET, &encode(&turned), 10).expect("decodes");
        prop_assert_eq!(rows(1, b"k", 0, &a), rows(1, b"k", 0, &b));
    }
}

/// Cuts a key whose bytes come a few at a time; gives the pieces.
pub(super) fn cut(bytes: &[u8], most: usize, step: usize) -> Vec<Entry> {
    let (mut cutting, mut at) = begin(bytes, 10).expect("reads").expect("can be cut");
    let (mut window, mut out) = (step, Vec::new());
    loop {
        let view = &bytes[at..bytes.len().min(at + window)];
        match cutting.take(view, most) {
            Ok((used, true)) => {
                at += used;
                let (entry, last) = cutting.piece();
                out.push(entry);
                if last {
                    assert_eq!(at, bytes.len());
                    return out;
                }
            }
            Ok((used, false)) => (at, window) = (at + used, window + step),
            Err(stop) => {
                assert_eq!(stop, Stop::Short);
                window += step;
            }
        }
    }
}

proptest! {
    #[test]
    fn pieces_are_the_whole(
        members in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..40), 2..60),
        kind in prop::sample::select(vec![kind::LIST, kind::SET, kind::HASH, kind::ZSET_2, kind::STRING]),
        most in 1_usize..300,
        step in 1_usize..50,
    ) {
        let elements = members.iter().map(|member| match kind {
            kind::HASH => [string(member), string(b"value")].concat(),
            kind::ZSET_2 => [string(member), 1.5_f64.to_le_bytes().to_vec()].concat(),
            _ => string(member),
        });
        let value = match kind {
            kind::STRING => string(&members.iter().flatten().copied().collect::<Vec<_>>()),
            _ => [length(members.len()), elements.collect::<Vec<_>>().concat()].concat(),
        };
        let whole = decode(kind, &value, 10).expect("decodes");
        let pieces = cut(&[vec![kind], string(b"k"), value].concat(), most, step);
        let mut sums = [Large::new(3, b"k", 0), Large::new(3, b"k", 0)];
        prop_assert!(sums[0].add(&whole));
        for (at, piece) in pieces.iter().enumerate() {
            let place = match (at == 0, at + 1 == pieces.len()) {
                (true, true) => Piece::Whole,
                (true, false) => Piece::First,
                (false, true) => Piece::Last,
                (false, false) => Piece::Middle,
            };
            prop_assert_eq!(piece.piece, place);
            let payload = Payload::check(&piece.payload).expect("is sealed");
            prop_assert!(sums[1].add(&payload.decode().expect("decodes")));
        }
        let [whole, pieces] = sums;
        prop_assert_eq!(whole.finish(), pieces.finish());
    }
}

#[test]
fn pieces_of_a_compressed_string_are_not_compressed() {
    // One literal, and 70 times the 264 bytes before.
    let mut packed = vec![0, b'a'];
    for _ in 0..70 {
        packed.extend([0xe0, 255, 0]);
    }
    let length = 1 + 70 * 264_u32;
    let value = [
        vec![0xc3, 0x80],
        (packed.len() as u32).to_be_bytes().to_vec(),
        vec![0x80],
        length.to_be_bytes().to_vec(),
        packed,
    ]
    .concat();
    assert_eq!(unpacked(&Payload::build(kind::STRING, &value, 10)), 18_481);
    assert_eq!(
        unpacked(&Payload::build(kind::STRING, &string(b"x"), 10)),
        0
    );
    for (most, step) in [(1_000, 3), (1, 50), (100_000, 1)] {
        let pieces = cut(
            &[vec![kind::STRING], string(b"k"), value.clone()].concat(),
            most,
            step,
        );
        let mut text = Vec::new();
        for piece in &pieces {
            let payload = Payload::check(&piece.payload).expect("is sealed");
            assert!(piece.payload.len() < most + 264 + 32);
            text.extend_from_slice(&payload.string().expect("is one"));
        }
        assert_eq!(text, vec![b'a'; length as usize]);
    }
    // One that says less, or more, than it is.
    for wrong in [length - 1, length + 1] {
        let mut bytes = [vec![kind::STRING], string(b"k"), value.clone()].concat();
        bytes[10..14].copy_from_slice(&wrong.to_be_bytes());
        let (mut cutting, used) = begin(&bytes, 10).expect("reads").expect("can be cut");
        assert!(matches!(
            cutting.take(&bytes[used..], usize::MAX),
            Err(Stop::Bad(_))
        ));
    }
}

#[test]
fn fields_that_go_are_given_out_as_they_come() {
    let field = |n: u64, expiry: u64| Field {
        name: n.to_string().into_bytes(),
        value: b"v".to_vec(),
        expiry,
    };
    for lasting in [0, 3] {
        let fields: Vec<Field> = (0..30)
            .map(|n| field(n, 1_000 + n))
            .chain((0..lasting).map(|n| field(100 + n, 0)))
            .collect();
        let mut large = Large::new(0, b"k", 0);
        let mut seen = Vec::new();
        for piece in fields.chunks(10) {
            assert!(large.add(&Value::Hash(piece.to_vec())));
            let ready = large.ready();
            assert_eq!(ready.len(), piece.iter().filter(|f| f.expiry != 0).count());
            seen.extend(ready);
        }
        seen.extend(large.finish());
        let sorted = |mut rows: Vec<Row>| {
            rows.sort_by(|a, b| a.bytes.cmp(&b.bytes));
            rows
        };
        assert_eq!(sorted(seen), sorted(rows(0, b"k", 0, &Value::Hash(fields))));
    }
}

/// A small stream: two entries, one group with one pending entry and its consumer.
static STREAM: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    let entry =
        |seq: &'static str| -> Vec<&'static [u8]> { vec![b"2", b"0", seq.as_bytes(), b"v", b"5"] };
    let mut elements: Vec<&[u8]> = vec![b"2", b"0", b"1", b"f", b"0"];
    elements.extend(entry("0"));
    elements.extend(entry("1"));
    let id = |seq: u64| [1_000_u64.to_be_bytes(), seq.to_be_bytes()].concat();
    [
        length(1),
        string(&id(0)),
        string(&listpack(&elements)),
        length(2),
        // Last id, first id, greatest deleted id, entries added.
        length(1_000),
        length(1),
        length(1_000),
        length(0),
        length(0),
        length(0),
        length(2),
        length(1),
        string(b"group"),
        length(1_000),
        length(0),
        length(1),
        length(1),
        id(0),
        77_u64.to_le_bytes().to_vec(),
        length(3),
        length(1),
        string(b"consumer"),
        99_u64.to_le_bytes().to_vec(),
        length(1),
        id(0),
    ]
    .concat()
});

#[test]
fn a_stream_with_a_group() {
    let Value::Stream(stream) = decode(kind::STREAM_LISTPACKS_2, &STREAM, 10).expect("decodes")
    else {
        panic!("not a stream");
    };
    let fields = || texts(&["f", "v"]);
    assert_eq!(
        stream.entries,
        vec![((1_000, 0), fields()), ((1_000, 1), fields())]
    );
    let group = &stream.groups[b"group".as_slice()];
    let pending = &group.pending[&(1_000, 0)];
    assert_eq!(
        (
            pending.consumer.as_slice(),
            pending.delivered,
            pending.count
        ),
        (&b"consumer"[..], 77, 3)
    );
    assert_eq!(group.consumers[b"consumer".as_slice()], (99, 99));
}
