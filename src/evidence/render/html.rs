//! The HTML rendering: one page without scripts or outside parts, for light and dark screens, print and text browsers.

use super::escape::markup;
use super::view::{Cell, Section, Tone, View};

const STYLE: &str = include_str!("page.css");

pub(super) fn render(view: &View) -> String {
    let mut out = String::with_capacity(16 * 1024);
    let title = format!("{}: {}", view.title, view.verdict);
    out.push_str(&format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        markup(&title)
    ));
    header(&mut out, view);
    out.push_str("<main>\n");
    for section in &view.sections {
        table(&mut out, section);
    }
    out.push_str("<section>\n<h2>Checking it yourself</h2>\n<pre>");
    for command in &view.commands {
        out.push_str(&markup(command));
        out.push('\n');
    }
    out.push_str("</pre>\n<p class=\"quiet\">The first command also proves that nothing was removed from the log before this run's last record.</p>\n</section>\n</main>\n</body>\n</html>\n");
    out
}

fn header(out: &mut String, view: &View) {
    out.push_str(&format!(
        "<header>\n<p class=\"verdict {}\"><span aria-hidden=\"true\">{}</span> {}</p>\n<h1>{}</h1>\n<p class=\"lede\">{}</p>\n<p class=\"trust {}\">{}</p>\n<dl>\n",
        class(view.tone),
        sign(view.tone),
        markup(view.verdict),
        markup(&view.title),
        markup(&view.lede),
        if view.trusted { "good" } else { "bad" },
        markup(&view.trust),
    ));
    for (name, value) in &view.facts {
        out.push_str(&format!(
            "<div><dt>{}</dt><dd>{}</dd></div>\n",
            markup(name),
            content(value)
        ));
    }
    out.push_str("</dl>\n</header>\n");
}

fn table(out: &mut String, section: &Section) {
    out.push_str(&format!("<section>\n<h2>{}</h2>\n", markup(section.title)));
    if let Some(note) = &section.note {
        out.push_str(&format!("<p class=\"quiet\">{}</p>\n", markup(note)));
    }
    let class = if section.columns.len() == 2 {
        " class=\"pair\""
    } else {
        ""
    };
    out.push_str(&format!("<div class=\"wide\"><table{class}>\n"));
    if section.columns.iter().any(|c| !c.is_empty()) {
        out.push_str("<thead><tr>");
        for column in &section.columns {
            out.push_str(&format!("<th scope=\"col\">{}</th>", markup(column)));
        }
        out.push_str("</tr></thead>\n");
    }
    out.push_str("<tbody>\n");
    for row in &section.rows {
        out.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            if at == 0 {
                out.push_str(&format!("<th scope=\"row\">{}</th>", content(cell)));
            } else {
                let label = section.columns.get(at).copied().unwrap_or_default();
                out.push_str(&format!(
                    "<td data-label=\"{}\">{}</td>",
                    markup(label),
                    content(cell)
                ));
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n</section>\n");
}

fn content(cell: &Cell) -> String {
    let text = lines(&cell.text);
    let mut html = match cell.tone {
        Some(tone) => format!(
            "<span class=\"word {}\"><span aria-hidden=\"true\">{}</span> {text}</span>",
            class(tone),
            sign(tone)
        ),
        None if cell.code && !cell.text.is_empty() => {
            format!("<code>{}</code>", breakable(&cell.text))
        }
        None => text,
    };
    if let Some((from, length)) = cell.bar {
        html.push_str(&format!(
            "<span class=\"line\" aria-hidden=\"true\"><span style=\"margin-left:{:.2}%;width:{:.2}%\"></span></span>",
            from * 100.0,
            length * 100.0
        ));
    }
    html
}

/// Code that may be broken anywhere, so that digests fit a narrow screen and a text browser; copying it gives it whole.
fn breakable(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let parts: Vec<String> = chars
        .chunks(16)
        .map(|part| markup(&part.iter().collect::<String>()))
        .collect();
    parts.join("<wbr>")
}

/// The first line as it is, the others below it and quieter.
fn lines(text: &str) -> String {
    let mut lines = text.lines();
    let mut html = markup(lines.next().unwrap_or_default());
    for line in lines {
        html.push_str(&format!(
            "<br><span class=\"quiet\">{}</span>",
            markup(line)
        ));
    }
    html
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
        Tone::Quiet => "quiet",
    }
}

/// A sign beside the word, for those who do not see the colour.
fn sign(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "\u{2713}",
        Tone::Warn => "!",
        Tone::Bad => "\u{2717}",
        Tone::Quiet => "\u{2013}",
    }
}
