//! Text that fits a terminal: paragraphs that break between words, and tables whose cells stay whole.
//!
//! What somebody would copy is never broken: a word without spaces (ids, digests, keys, paths), a span in backticks, and a
//! command line. What is longer than a line stands on a line of its own, and the terminal breaks it as it likes.

use unicode_width::UnicodeWidthStr as _;

/// What the continuation of a note below a table's row is indented by, and the note itself.
const NOTE: &str = "    ";

/// The spaces between two columns.
const GAP: usize = 2;

/// A column of prose is not made narrower than this; its cells go below their rows instead.
const NARROWEST_PROSE: usize = 24;

/// A longer remark in parentheses is broken like other prose.
const LONGEST_REMARK: usize = 40;

/// How many columns a text takes on a terminal.
fn columns(text: &str) -> usize {
    text.width()
}

/// Breaks every line that is longer than `width` between its words. Blocks between lines of three backticks stay as they
/// are. Without a width nothing is broken.
pub fn wrap(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let mut fenced = false;
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
                line.to_owned()
            } else if fenced || columns(line) <= width {
                line.to_owned()
            } else {
                wrap_line(line, width)
            }
        })
        .collect();
    lines.join("\n")
}

/// A part of a line that is not broken, with the spaces before it.
#[derive(Debug, PartialEq)]
struct Piece<'a> {
    gap: usize,
    text: &'a str,
}

/// One long line, broken between pieces. Later lines are indented below what the first one says: below the text after a
/// label such as `backup    `, or by two columns.
fn wrap_line(line: &str, width: usize) -> String {
    let pieces = pieces(line);
    let hanging = hanging(&pieces).min(width / 2);
    if let [label, rest] = pieces.as_slice()
        && rest.gap > 1
    {
        let close = format!("{}{} {}", " ".repeat(label.gap), label.text, rest.text);
        if columns(&close) <= width {
            return close;
        }
    }
    let mut out = String::new();
    let mut used = 0;
    for piece in &pieces {
        let wide = columns(piece.text);
        let first = used == 0;
        // What does not fit on any line starts no new one after a mere label.
        let label_only = used <= hanging && wide > width;
        if first || used + piece.gap + wide <= width || label_only {
            out.push_str(&" ".repeat(piece.gap));
            used += piece.gap + wide;
        } else {
            let indent = hanging.min(width.saturating_sub(wide));
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent + wide;
        }
        out.push_str(piece.text);
    }
    out
}

/// Splits a line at its spaces, but for those inside backticks, short remarks in parentheses and command lines.
fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut found: Vec<Piece<'_>> = Vec::new();
    let mut rest = line;
    loop {
        let text = rest.trim_start_matches(' ');
        let gap = rest.len() - text.len();
        if text.is_empty() {
            return found;
        }
        let alone = gap > 1 || matches!(found.last().map(|p| p.text), None | Some("next:" | "-"));
        let end = if alone && text.starts_with("summitctl ") {
            end_of_command(text)
        } else {
            end_of_word(text)
        };
        found.push(Piece {
            gap,
            text: &text[..end],
        });
        rest = &text[end..];
    }
}

/// A command line ends at a wide gap, at a remark in parentheses, or with the line.
fn end_of_command(text: &str) -> usize {
    ["  ", " ("]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min()
        .unwrap_or(text.len())
}

fn end_of_word(text: &str) -> usize {
    let remark = text.starts_with('(').then(|| text.find(')')).flatten();
    if let Some(close) = remark.filter(|close| *close <= LONGEST_REMARK) {
        return close + end_of_word(&text[close..]);
    }
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '`' if quoted => quoted = false,
            '`' => quoted = text[at + 1..].contains('`'),
            ' ' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

/// The column below which a line goes on.
fn hanging(pieces: &[Piece<'_>]) -> usize {
    let indent = pieces.first().map_or(0, |p| p.gap);
    let mut column = 0;
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 && piece.gap > 1 {
            return column + piece.gap;
        }
        column += piece.gap + columns(piece.text);
    }
    let sentence = pieces
        .first()
        .is_some_and(|p| p.text.starts_with(char::is_uppercase) && !p.text.ends_with(':'));
    if sentence { indent } else { indent + 2 }
}

/// A table. Its cells are never broken, unless their column is prose; a cell that finds no room stands on a line of its
/// own below its row, after its column's heading.
#[derive(Debug, Default)]
pub struct Table {
    head: Vec<String>,
    prose: Vec<bool>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    cells: Vec<String>,
    notes: Vec<String>,
}

/// What a column is given.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Room {
    /// This many columns of the terminal.
    Columns(usize),
    /// None: all its cells stand below their rows.
    Below,
}

impl Table {
    /// A table with these headings.
    pub fn new(head: &[&str]) -> Self {
        Table {
            head: head.iter().map(|h| h.to_uppercase()).collect(),
            prose: vec![false; head.len()],
            rows: Vec::new(),
        }
    }

    /// Says that the cells of the last column are prose, which may be broken between words.
    #[must_use]
    pub fn with_prose(mut self) -> Self {
        if let Some(last) = self.prose.last_mut() {
            *last = true;
        }
        self
    }

    /// Adds a row.
    pub fn row(&mut self, mut cells: Vec<String>) {
        cells.resize(self.head.len(), String::new());
        self.rows.push(Row {
            cells,
            notes: Vec::new(),
        });
    }

    /// Adds a line below the last row.
    pub fn note(&mut self, text: impl Into<String>) {
        if let Some(row) = self.rows.last_mut() {
            row.notes.push(text.into());
        }
    }

    /// The table as lines of at most `width`, as far as its cells allow.
    pub fn render(&self, width: Option<usize>) -> String {
        let rooms = self.rooms(width);
        let mut grid = grid();
        let mut heights = vec![fill_row(&mut grid, &self.head, &rooms)];
        let mut below = vec![Vec::new()];
        for row in &self.rows {
            let mut apart = Vec::new();
            let mut cells = row.cells.clone();
            for ((cell, room), (head, prose)) in cells
                .iter_mut()
                .zip(&rooms)
                .zip(self.head.iter().zip(&self.prose))
            {
                let stays = match room {
                    Room::Columns(room) => *prose || columns(cell) <= *room,
                    Room::Below => cell.is_empty(),
                };
                if !stays {
                    apart.push(format!(
                        "{NOTE}{}  {}",
                        head.to_lowercase(),
                        std::mem::take(cell)
                    ));
                }
            }
            heights.push(fill_row(&mut grid, &cells, &rooms));
            let notes = row.notes.iter().map(|n| format!("{NOTE}{n}"));
            below.push(
                apart
                    .into_iter()
                    .chain(notes)
                    .map(|l| wrap(&l, width))
                    .collect(),
            );
        }
        for column in grid.column_iter_mut() {
            column.set_padding((0, GAP as u16));
        }
        let drawn: Vec<String> = grid.lines().map(|l| l.trim_end().to_owned()).collect();
        let mut drawn = drawn.into_iter();
        let mut lines = Vec::new();
        for (height, notes) in heights.into_iter().zip(below) {
            lines.extend(drawn.by_ref().take(height));
            lines.extend(notes);
        }
        lines.join("\n")
    }

    /// How wide each column becomes. The first one always gets what it needs: it names things.
    fn rooms(&self, width: Option<usize>) -> Vec<Room> {
        let mut needs: Vec<usize> = (0..self.head.len())
            .map(|at| self.widest(at, usize::MAX))
            .collect();
        let columns_of = |needs: &[usize]| needs.iter().copied().map(Room::Columns).collect();
        let Some(width) = width else {
            return columns_of(&needs);
        };
        if let (Some(last), Some(true)) = (needs.last().copied(), self.prose.last()) {
            let before = total(&needs) - last;
            if before + last > width && width.saturating_sub(before) >= NARROWEST_PROSE {
                let at = needs.len() - 1;
                needs[at] = width - before;
            }
        }
        let mut rooms: Vec<Room> = columns_of(&needs);
        loop {
            let taken: Vec<usize> = rooms
                .iter()
                .filter_map(|room| match room {
                    Room::Columns(n) => Some(*n),
                    Room::Below => None,
                })
                .collect();
            let over = total(&taken).saturating_sub(width);
            let widest = (1..rooms.len())
                .filter_map(|at| match rooms[at] {
                    Room::Columns(n) => Some((n, at)),
                    Room::Below => None,
                })
                .max();
            let (true, Some((wide, at))) = (over > 0, widest) else {
                return rooms;
            };
            // The cells that fit what is left stay; the others go below.
            let room = wide.saturating_sub(over);
            let kept = self.widest(at, room);
            let some_stay = self
                .rows
                .iter()
                .any(|r| !r.cells[at].is_empty() && columns(&r.cells[at]) <= room);
            rooms[at] = if !self.prose[at] && some_stay && kept <= room {
                Room::Columns(kept)
            } else {
                Room::Below
            };
        }
    }

    /// The widest of a column's heading and its cells that are at most `limit` wide.
    fn widest(&self, at: usize, limit: usize) -> usize {
        let cells = self.rows.iter().map(|r| columns(&r.cells[at]));
        cells
            .filter(|n| *n <= limit)
            .chain([columns(&self.head[at])])
            .max()
            .unwrap_or(0)
    }
}

fn total(rooms: &[usize]) -> usize {
    rooms.iter().sum::<usize>() + GAP * rooms.len().saturating_sub(1)
}

/// An empty grid without lines.
fn grid() -> comfy_table::Table {
    let mut grid = comfy_table::Table::new();
    grid.load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    grid
}

/// Adds one row, on as many lines as its prose takes; says how many.
fn fill_row(grid: &mut comfy_table::Table, cells: &[String], rooms: &[Room]) -> usize {
    let mut height = 1;
    let filled: Vec<String> = cells
        .iter()
        .zip(rooms)
        .filter_map(|(cell, room)| match room {
            Room::Columns(room) => Some(fill(cell, *room)),
            Room::Below => None,
        })
        .map(|lines| {
            height = height.max(lines.len());
            lines.join("\n")
        })
        .collect();
    grid.add_row(filled);
    height
}

/// A cell's text in lines of `room`.
fn fill(cell: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces(cell) {
        match lines.last_mut() {
            Some(line) if columns(line) + piece.gap + columns(piece.text) <= room => {
                line.push_str(&" ".repeat(piece.gap));
                line.push_str(piece.text);
            }
            // The indentation of a first column shows what belongs to what.
            None => lines.push(format!("{}{}", " ".repeat(piece.gap), piece.text)),
            Some(_) => lines.push(piece.text.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
