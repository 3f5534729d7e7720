//! The table of contents of a `pg_dump --format=custom` archive: what each entry is, what it depends on, and its SQL
//! (src/bin/pg_dump/pg_backup_archiver.c, `ReadHead` and `ReadToc`, versions 1.14 to 1.16 of the format).
//!
//! Indexes and keys are worth running by ourselves, each as soon as its table is full; `pg_restore` runs everything else. An
//! archive of another version is left to it altogether.

/// What an archive begins with.
const MAGIC: &[u8] = b"PGDMP";
/// Minor versions of format 1 that are read here: of PostgreSQL 12 to 18.
const OLDEST_MINOR: u8 = 14;
const NEWEST_MINOR: u8 = 16;
/// The number of the custom format.
const CUSTOM: u8 = 1;

/// When an entry is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    PreData,
    Data,
    PostData,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number, by which others depend on it and `pg_restore --use-list` chooses it.
    pub id: i32,
    /// `INDEX`, `CONSTRAINT`, `FK CONSTRAINT`, `TABLE` …
    pub kind: String,
    pub schema: Option<String>,
    /// The object's name; for what belongs to a table, the table's name before it.
    pub tag: String,
    /// Whose it is; empty where nobody owns such a thing by itself.
    pub owner: Option<String>,
    pub section: Section,
    /// The statements that make it.
    pub sql: String,
    /// The numbers of what must be there before.
    pub needs: Vec<i32>,
}

/// Every entry, in the order in which they can be restored; `None` if this is not an archive that is understood to its end.
pub(super) fn entries(archive: &[u8]) -> Option<Vec<Entry>> {
    let mut reader = Reader {
        rest: archive,
        int_size: 0,
        offset_size: 0,
    };
    let minor = reader.head()?;
    let count = reader.int()?;
    let mut section = Section::PreData;
    let mut entries = Vec::new();
    for _ in 0..count {
        let (own, mut entry) = reader.entry(minor)?;
        // What has no section, such as a comment, belongs to that of what stands before it.
        section = own.unwrap_or(section);
        entry.section = section;
        entries.push(entry);
    }
    Some(entries)
}

/// What an entry is to say instead.
pub(super) struct Rewritten {
    /// Whose it is.
    pub owner: Option<String>,
    /// The statements that make it.
    pub sql: String,
}

/// An archive without data, with other owners and statements; `None` if this is none, or not understood to its end.
pub(super) fn rewrite(
    archive: &[u8],
    mut change: impl FnMut(&Entry) -> Rewritten,
) -> Option<Vec<u8>> {
    let mut reader = Reader {
        rest: archive,
        int_size: 0,
        offset_size: 0,
    };
    let minor = reader.head()?;
    let count = reader.int()?;
    let mut out = Vec::with_capacity(archive.len());
    let mut copied = 0;
    for _ in 0..count {
        let (_, entry, places) = reader.whole_entry(minor, archive.len())?;
        if places.has_data {
            // Behind the contents stand data at places that the contents name.
            return None;
        }
        let new = change(&entry);
        for (place, text) in [
            (&places.sql, Some(new.sql.as_str())),
            (&places.owner, new.owner.as_deref()),
        ] {
            out.extend_from_slice(archive.get(copied..place.start)?);
            put_text(&mut out, text)?;
            copied = place.end;
        }
    }
    out.extend_from_slice(archive.get(copied..)?);
    Some(out)
}

/// As [`Reader::text`] reads it.
fn put_text(out: &mut Vec<u8>, text: Option<&str>) -> Option<()> {
    let length = match text {
        Some(text) => i32::try_from(text.len()).ok()?,
        None => -1,
    };
    out.push(u8::from(length < 0));
    out.extend_from_slice(&length.unsigned_abs().to_le_bytes());
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
    Some(())
}

/// Where in an archive an entry's texts stand.
struct Places {
    sql: std::ops::Range<usize>,
    owner: std::ops::Range<usize>,
    has_data: bool,
}

/// The state of an entry whose data stand at a known place (src/bin/pg_dump/pg_backup_archiver.h, `K_OFFSET_POS_SET`).
const DATA_AT: u8 = 2;

struct Reader<'a> {
    rest: &'a [u8],
    int_size: usize,
    offset_size: usize,
}

impl Reader<'_> {
    /// Reads the head; the format's minor version.
    fn head(&mut self) -> Option<u8> {
        if self.take(MAGIC.len())? != MAGIC {
            return None;
        }
        let (major, minor, _revision) = (self.byte()?, self.byte()?, self.byte()?);
        self.int_size = usize::from(self.byte()?);
        self.offset_size = usize::from(self.byte()?);
        let format = self.byte()?;
        let known = major == 1 && (OLDEST_MINOR..=NEWEST_MINOR).contains(&minor);
        if !known || format != CUSTOM || self.int_size != 4 || self.offset_size > 8 {
            return None;
        }
        // The compression: an algorithm since 1.15, a level before.
        if minor >= 15 {
            self.byte()?;
        } else {
            self.int()?;
        }
        // The seven parts of the time; the database; the versions of server and dump.
        for _ in 0..7 {
            self.int()?;
        }
        for _ in 0..3 {
            self.text()?;
        }
        Some(minor)
    }

    /// An entry, and the section that it names.
    fn entry(&mut self, minor: u8) -> Option<(Option<Section>, Entry)> {
        let (section, entry, _) = self.whole_entry(minor, self.rest.len())?;
        Some((section, entry))
    }

    /// An entry of an archive of `length` bytes, and where it stands.
    fn whole_entry(
        &mut self,
        minor: u8,
        length: usize,
    ) -> Option<(Option<Section>, Entry, Places)> {
        let id = self.int()?;
        let _has_data = self.int()?;
        let (_catalogue, _oid) = (self.text()?, self.text()?);
        let tag = self.text()?.unwrap_or_default();
        let kind = self.text()?.unwrap_or_default();
        let section = match self.int()? {
            1 => None,
            2 => Some(Section::PreData),
            3 => Some(Section::Data),
            4 => Some(Section::PostData),
            _ => return None,
        };
        let sql_from = length - self.rest.len();
        let sql = self.text()?.unwrap_or_default();
        let sql_to = length - self.rest.len();
        let (_drop, _copy) = (self.text()?, self.text()?);
        let schema = self.text()?.filter(|s| !s.is_empty());
        let (_tablespace, _access_method) = (self.text()?, self.text()?);
        if minor >= 16 {
            let _relation_kind = self.int()?;
        }
        let owner_from = length - self.rest.len();
        let owner_text = self.text()?;
        let owner_to = length - self.rest.len();
        let _with_oids = self.text()?;
        let mut needs = Vec::new();
        while let Some(number) = self.text()? {
            needs.push(number.parse().ok()?);
        }
        let state = self.take(1 + self.offset_size)?.first().copied();
        let entry = Entry {
            id,
            kind,
            schema,
            tag,
            owner: owner_text,
            section: Section::PreData,
            sql,
            needs,
        };
        let places = Places {
            sql: sql_from..sql_to,
            owner: owner_from..owner_to,
            has_data: state == Some(DATA_AT),
        };
        Some((section, entry, places))
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    /// A sign, then the bytes from the lowest.
    fn int(&mut self) -> Option<i32> {
        let negative = self.byte()? != 0;
        let bytes = self.take(self.int_size)?;
        let value = bytes
            .iter()
            .rev()
            .fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
        i32::try_from(if negative { -value } else { value }).ok()
    }

    /// A text, or none: its length is then negative.
    fn text(&mut self) -> Option<Option<String>> {
        let Ok(length) = usize::try_from(self.int()?) else {
            return Some(None);
        };
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).ok().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(out: &mut Vec<u8>, value: i32) {
        out.push(u8::from(value < 0));
        out.extend_from_slice(&value.unsigned_abs().to_le_bytes());
    }

    fn text(out: &mut Vec<u8>, value: Option<&str>) {
        int(out, value.map_or(-1, |v| v.len() as i32));
        out.extend_from_slice(value.unwrap_or_default().as_bytes());
    }

    fn archive(minor: u8) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&[1, minor, 0, 4, 8, CUSTOM]);
        if minor >= 15 {
            out.push(0);
        } else {
            int(&mut out, 0);
        }
        (0..7).for_each(|n| int(&mut out, n));
        for value in ["app", "17.1", "17.1"] {
            text(&mut out, Some(value));
        }
        int(&mut out, 2);
        for (id, kind, section, needs) in
            [(3_021, "INDEX", 4, "217"), (3_022, "COMMENT", 1, "3021")]
        {
            int(&mut out, id);
            int(&mut out, 0);
            for value in ["1259", "16400", "orders_customer", kind] {
                text(&mut out, Some(value));
            }
            int(&mut out, section);
            for value in [
                Some("CREATE …;\n"),
                Some("DROP"),
                None,
                Some("public"),
                Some(""),
                None,
            ] {
                text(&mut out, value);
            }
            if minor >= 16 {
                int(&mut out, 0);
            }
            for value in [Some("postgres"), Some("false"), Some(needs), None] {
                text(&mut out, value);
            }
            out.extend_from_slice(&[0; 9]);
        }
        out
    }

    #[test]
    fn entries_of_every_version_are_read() {
        for minor in OLDEST_MINOR..=NEWEST_MINOR {
            let found = entries(&archive(minor)).expect("is understood");
            let index = Entry {
                id: 3_021,
                kind: "INDEX".into(),
                schema: Some("public".into()),
                tag: "orders_customer".into(),
                owner: Some("postgres".into()),
                section: Section::PostData,
                sql: "CREATE …;\n".into(),
                needs: vec![217],
            };
            let comment = Entry {
                id: 3_022,
                kind: "COMMENT".into(),
                needs: vec![3_021],
                ..index.clone()
            };
            assert_eq!(found, [index, comment]);
        }
        assert_eq!(entries(&archive(NEWEST_MINOR + 1)), None);
    }

    #[test]
    fn owners_and_statements_are_exchanged_and_nothing_else() {
        for minor in OLDEST_MINOR..=NEWEST_MINOR {
            let mut before = archive(minor);
            before.extend_from_slice(b"what follows");
            let same = rewrite(&before, |entry| Rewritten {
                owner: entry.owner.clone(),
                sql: entry.sql.clone(),
            });
            assert_eq!(same.as_ref(), Some(&before));
            let other = rewrite(&before, |entry| {
                assert_eq!(entry.owner.as_deref(), Some("postgres"));
                Rewritten {
                    owner: Some("somebody else".to_owned()),
                    sql: format!("{}GRANT …;\n", entry.sql),
                }
            })
            .expect("is understood");
            assert!(other.ends_with(b"what follows"));
            let found = entries(&other).expect("is understood");
            assert_eq!(found[1].sql, "CREATE …;\nGRANT …;\n");
            assert_eq!(found[1].needs, [3_021]);
            rewrite(&other, |entry| {
                assert_eq!(entry.owner.as_deref(), Some("somebody else"));
                Rewritten {
                    owner: None,
                    sql: entry.sql.clone(),
                }
            })
            .expect("is understood");
        }
        assert_eq!(rewrite(b"-- dump", |_| unreachable!()).map(|_| ()), None);
    }

    #[test]
    fn what_is_cut_short_or_no_archive_is_not_understood() {
        let whole = archive(16);
        for end in 0..whole.len() {
            assert_eq!(entries(&whole[..end]), None, "{end}");
        }
        assert_eq!(entries(b"-- PostgreSQL database dump"), None);
    }

    proptest::proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(0_u8..=255, 0..300)) {
            let mut bytes = archive(16);
            bytes.truncate(40);
            bytes.extend(noise);
            let _ = entries(&bytes);
        }
    }
}
