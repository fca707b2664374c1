//! A cause's or a lint's page at a terminal.

use std::io::{self, Write};

use diagnose::{Cause, Lint};

use super::sheet::{Long, Piece, Sheet};
use super::{BOLD, DIM, Style};

/// Writes the cause's page: its headings in bold, its paragraphs wrapped, its examples as they stand.
pub fn cause(out: &mut dyn Write, cause: &Cause, style: &Style) -> io::Result<()> {
    page(out, cause.id, &cause.page(), style)
}

/// The same of a lint.
pub fn lint(out: &mut dyn Write, lint: &Lint, style: &Style) -> io::Result<()> {
    page(out, lint.id, &lint.page(), style)
}

fn page(out: &mut dyn Write, id: &str, page: &str, style: &Style) -> io::Result<()> {
    let mut sheet = Sheet::new(style.width.min(100));
    sheet.exact(0, &[Piece::new(BOLD, id)]);
    sheet.gap();
    let mut fenced = false;
    let mut paragraph = String::new();
    for line in page.lines() {
        let fence = line.starts_with("```");
        if fenced || fence || line.starts_with("    ") || line.starts_with('#') || line.is_empty() {
            flush(&mut sheet, &mut paragraph);
        }
        if fence {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            sheet.exact(2, &[Piece::new(DIM, line)]);
        } else if let Some(heading) = line.strip_prefix("## ") {
            sheet.gap();
            sheet.exact(0, &[Piece::new(BOLD, heading)]);
        } else if line.is_empty() {
            sheet.gap();
        } else {
            if line.starts_with("- ") {
                flush(&mut sheet, &mut paragraph);
            }
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line.trim());
        }
    }
    flush(&mut sheet, &mut paragraph);
    out.write_all(sheet.into_text().as_bytes())
}

fn flush(sheet: &mut Sheet, paragraph: &mut String) {
    if paragraph.is_empty() {
        return;
    }
    match paragraph.strip_prefix("- ") {
        Some(entry) => sheet.hanging(0, &Piece::plain("-"), &[Piece::plain(entry)], Long::Keep),
        None => sheet.under(0, &[Piece::plain(paragraph.as_str())], Long::Keep),
    }
    paragraph.clear();
}
