//! Escaping: a value may come from a hostile server, and must neither become markup nor show itself as something else.

use std::borrow::Cow;

/// Characters that cannot be seen, or that reorder others: shown as `\u{…}`. Line feeds and tabs stay.
fn is_unseen(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text with every secret masked and every unseen character made visible.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let text = crate::secret::mask(text);
    if !text.contains(is_unseen) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unseen(c) {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// For HTML and XML, in content and in quoted attributes.
pub(super) fn markup(text: &str) -> String {
    let text = visible(text);
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// For an XML attribute, where a bare line feed or tab would be read as a blank.
pub(super) fn attribute(text: &str) -> String {
    markup(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

/// For Markdown, on one line, table cells included.
pub(super) fn markdown(text: &str) -> String {
    let text = visible(text);
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '#' | '&' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.trim().to_owned()
}

/// For Markdown, as code where the text allows it.
pub(super) fn markdown_code(text: &str) -> String {
    let plain = visible(text);
    if plain.is_empty() || plain.contains(['`', '|', '\n', '\t']) || plain.trim() != plain {
        markdown(text)
    } else {
        format!("`{plain}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseen_and_reordering_characters_are_shown() {
        assert_eq!(
            visible("a\u{202e}b\u{0}c\u{feff}"),
            "a\\u{202e}b\\u{0}c\\u{feff}"
        );
        assert_eq!(visible("zwei\nZeilen\tä"), "zwei\nZeilen\tä");
        assert_eq!(
            markup("<a href='x'>&\"\u{7f}"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\\u{7f}"
        );
        assert_eq!(attribute("a\nb"), "a&#10;b");
        assert_eq!(markdown("a|b\n<i>*x*"), "a\\|b \\<i\\>\\*x\\*");
        assert_eq!(markdown_code("a`b"), "a\\`b");
        assert_eq!(markdown_code("sha256:00"), "`sha256:00`");
    }
}
