//! A row of CSV as `neo4j-admin database import` reads it, and what cannot be said in one.

use std::io::Write as _;

use super::super::bolt::packstream::Value;

/// Separates labels and a list's items: no text that a row carries holds it.
const SEPARATOR: u8 = 0x1F;

/// The importer reads into a buffer of 4 Mi characters, and refuses a file of plain lines in which no line ends within it,
/// and one of fields with line ends in which a field does not fit. A character has at least one byte here, so that half of
/// it leaves room for whatever precedes the line.
const MAX_LINE: usize = 2 << 20;

/// Tags of Bolt's temporal structures (Bolt specification, "Structure semantics").
mod tag {
    pub const DATE: u8 = 0x44;
    pub const LOCAL_DATE_TIME: u8 = 0x64;
    pub const DATE_TIME: u8 = 0x49;
}

const DAY: i64 = 86_400;

/// A row that is being written.
#[derive(Default)]
pub(super) struct Row {
    line: Vec<u8>,
    /// What the columns after the fixed ones are called: `,name:string,score:double`.
    header: String,
    /// Where the fixed columns end.
    fixed: usize,
    multiline: bool,
}

impl Row {
    /// Begins a row with its ids, and its labels or type. False if the text among them cannot be said, or is too long.
    pub(super) fn begin(&mut self, ids: &[i64], names: &[&str]) -> bool {
        self.line.clear();
        self.header.clear();
        self.multiline = false;
        for id in ids {
            let _ = write!(self.line, "{id},");
        }
        if !names.is_empty() {
            self.line.push(b'"');
            for (i, name) in names.iter().enumerate() {
                if i > 0 {
                    self.line.push(SEPARATOR);
                }
                if name.is_empty() || name.contains(char::is_control) {
                    return false;
                }
                quoted(name, &mut self.line);
            }
            self.line.push(b'"');
        }
        self.fixed = self.line.len();
        self.fits()
    }

    /// Whether the importer's buffer holds the row, and the names of its columns.
    fn fits(&self) -> bool {
        self.line.len().max(self.header.len()) <= MAX_LINE
    }

    /// Adds a property; false, and nothing is added, if the importer would not bring exactly this value back, or the row
    /// would become too long.
    pub(super) fn add(&mut self, name: &str, value: &Value) -> bool {
        let is_plain = |c: char| c.is_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_plain) {
            return false;
        }
        let (line, header, multiline) = (self.line.len(), self.header.len(), self.multiline);
        self.line.push(b',');
        if let Some(kind) = self.cell(value) {
            for piece in [",", name, ":", kind] {
                self.header.push_str(piece);
            }
            if self.fits() {
                return true;
            }
        }
        self.line.truncate(line);
        self.header.truncate(header);
        self.multiline = multiline;
        false
    }

    /// Takes all properties off again.
    pub(super) fn strip(&mut self) {
        self.line.truncate(self.fixed);
        self.header.clear();
        self.multiline = false;
    }

    /// The names and types of its columns after the fixed ones.
    pub(super) fn header(&self) -> &str {
        &self.header
    }

    /// The row, without the end of its line.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Whether a text in it has several lines.
    pub(super) fn multiline(&self) -> bool {
        self.multiline
    }

    fn cell(&mut self, value: &Value) -> Option<&'static str> {
        match value {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.number(value),
            Value::String(text) => {
                self.line.push(b'"');
                self.text(text)?;
                self.line.push(b'"');
                Some("string")
            }
            Value::List(items) => self.list(items),
            Value::Struct(tag, fields) => self.moment(*tag, fields),
            Value::Null | Value::Bytes(_) | Value::Map(_) => None,
        }
    }

    fn number(&mut self, value: &Value) -> Option<&'static str> {
        let (written, kind) = match value {
            Value::Bool(b) => (write!(self.line, "{b}"), "boolean"),
            Value::Int(i) => (write!(self.line, "{i}"), "long"),
            // Rust writes the shortest decimals that read back as the same double, and so does Java read them.
            Value::Float(f) if f.is_finite() => (write!(self.line, "{f:?}"), "double"),
            _ => return None,
        };
        written.ok().map(|()| kind)
    }

    fn text(&mut self, text: &str) -> Option<()> {
        if text.len() > MAX_LINE
            || text.contains(|c: char| c.is_control() && c != '\n' && c != '\t')
        {
            return None;
        }
        self.multiline |= text.contains('\n');
        quoted(text, &mut self.line);
        Some(())
    }

    /// A list that is not empty, of one type.
    fn list(&mut self, items: &[Value]) -> Option<&'static str> {
        let first = items.first()?;
        let is_text = matches!(first, Value::String(_));
        if is_text {
            self.line.push(b'"');
        }
        let mut kind = None;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.line.push(SEPARATOR);
            }
            let this = match item {
                // An empty text in a list may be taken for none.
                Value::String(text) if is_text && !text.is_empty() => {
                    self.text(text)?;
                    "string"
                }
                Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.number(item)?,
                _ => return None,
            };
            if *kind.get_or_insert(this) != this || !self.fits() {
                return None;
            }
        }
        if is_text {
            self.line.push(b'"');
        }
        Some(match kind? {
            "string" => "string[]",
            "boolean" => "boolean[]",
            "long" => "long[]",
            _ => "double[]",
        })
    }

    fn moment(&mut self, tag: u8, fields: &[Value]) -> Option<&'static str> {
        match (tag, fields) {
            (tag::DATE, [Value::Int(days)]) => {
                self.date(*days)?;
                Some("date")
            }
            (tag::LOCAL_DATE_TIME, [Value::Int(seconds), Value::Int(nanos)]) => {
                self.date_time(*seconds, *nanos)?;
                Some("localdatetime")
            }
            (tag::DATE_TIME, [Value::Int(seconds), Value::Int(nanos), Value::Int(offset)]) => {
                self.date_time(seconds.checked_add(*offset)?, *nanos)?;
                let (sign, minutes) = (if *offset < 0 { '-' } else { '+' }, offset.abs() / 60);
                if offset % 60 != 0 {
                    return None;
                }
                write!(self.line, "{sign}{:02}:{:02}", minutes / 60, minutes % 60).ok()?;
                Some("datetime")
            }
            _ => None,
        }
    }

    fn date_time(&mut self, seconds: i64, nanos: i64) -> Option<()> {
        self.date(seconds.div_euclid(DAY))?;
        let rest = seconds.rem_euclid(DAY);
        let (hours, minutes, seconds) = (rest / 3_600, rest / 60 % 60, rest % 60);
        if !(0..1_000_000_000).contains(&nanos) {
            return None;
        }
        write!(
            self.line,
            "T{hours:02}:{minutes:02}:{seconds:02}.{nanos:09}"
        )
        .ok()
    }

    /// A day counted from 1970-01-01, in the years of four digits. After Howard Hinnant's `civil_from_days`.
    fn date(&mut self, days: i64) -> Option<()> {
        // 0001-01-01 and 9999-12-31.
        if !(-719_162..=2_932_896).contains(&days) {
            return None;
        }
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(self.line, "{year:04}-{month:02}-{day:02}").ok()
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    for piece in text.split_inclusive('"') {
        out.extend_from_slice(piece.as_bytes());
        if piece.ends_with('"') {
            out.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(entries: &[(&str, Value)]) -> (String, String, Vec<String>) {
        let mut row = Row::default();
        assert!(row.begin(&[7], &["A", "B\"C"]));
        let mut refused = Vec::new();
        for (name, value) in entries {
            if !row.add(name, value) {
                refused.push((*name).to_owned());
            }
        }
        let line = String::from_utf8(row.line().to_vec()).expect("is text");
        (row.header().to_owned(), line, refused)
    }

    #[test]
    fn what_csv_can_say_is_said_and_the_rest_refused() {
        let moment = |tag, fields: &[i64]| {
            Value::Struct(tag, fields.iter().map(|i| Value::Int(*i)).collect())
        };
        let (header, line, refused) = row_of(&[
            ("i", Value::Int(i64::MIN)),
            ("f", Value::Float(-0.0)),
            ("nan", Value::Float(f64::NAN)),
            ("t", Value::from("a \"b\"")),
            ("zero", Value::from("\0")),
            ("none", Value::List(vec![])),
            ("ss", Value::List(vec!["x".into(), "y".into()])),
            ("with", Value::List(vec!["x".into(), "".into()])),
            ("d", moment(0x44, &[18_321])),
            ("at", moment(0x49, &[-1, 5, -16_200])),
            ("odd", moment(0x49, &[0, 0, 90])),
            ("two words", Value::Int(1)),
            ("bytes", Value::Bytes(vec![1])),
        ]);
        assert_eq!(
            header,
            ",i:long,f:double,t:string,ss:string[],d:date,at:datetime"
        );
        assert_eq!(
            line,
            "7,\"A\u{1F}B\"\"C\",-9223372036854775808,-0.0,\"a \"\"b\"\"\",\"x\u{1F}y\",2020-02-29,\
             1969-12-31T19:29:59.000000005-04:30"
        );
        assert_eq!(
            refused,
            ["nan", "zero", "none", "with", "odd", "two words", "bytes"]
        );
    }

    #[test]
    fn a_row_is_no_longer_than_the_importer_can_read() {
        let text = |bytes: usize| Value::from("x".repeat(bytes));
        let (header, line, refused) = row_of(&[
            ("a", text(900 << 10)),
            ("many", Value::List((0..1 << 20).map(Value::Int).collect())),
            ("texts", Value::List(vec![text(100 << 10); 60])),
            ("b", text(900 << 10)),
            ("c", text(900 << 10)),
            ("quotes", Value::from("\"\n".repeat(1 << 20))),
            ("d", Value::Int(1)),
        ]);
        assert_eq!(header, ",a:string,b:string,d:long");
        assert_eq!(refused, ["many", "texts", "c", "quotes"]);
        assert!(line.len() <= MAX_LINE && line.ends_with("x\",1"));
        let mut row = Row::default();
        assert!(row.begin(&[1], &[]) && !row.add("t", &Value::from("\n".repeat(MAX_LINE))));
        assert!(!row.multiline(), "what was refused leaves nothing behind");
        assert!(!row.begin(&[1], &["L".repeat(MAX_LINE).as_str()]));
    }

    #[test]
    fn days_are_dates() {
        for (days, date) in [
            (-719_162, "0001-01-01"),
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (2_932_896, "9999-12-31"),
        ] {
            let mut row = Row::default();
            assert_eq!(row.date(days), Some(()));
            assert_eq!(row.line(), date.as_bytes());
        }
        assert_eq!(Row::default().date(2_932_897), None);
    }
}
