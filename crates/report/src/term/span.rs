//! Draws a span of configuration as compilers do.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use diagnose::ConfSpan;
use unicode_width::UnicodeWidthStr as _;

use crate::text::visible;

/// Lines of a block directive that are worth the room.
const LINES: usize = 6;

/// The span with its mark, and its label where there is room for it, in colours that the caller may strip.
/// `None` beside it says that the label is drawn or that there is none; else it is left to the caller.
pub(super) fn draw<'a>(
    span: &ConfSpan,
    label: Option<&'a str>,
    width: usize,
) -> (String, Option<&'a str>) {
    let (source, mark) = shown(span);
    let before = source
        .get(..mark.end)
        .and_then(|before| before.rsplit('\n').next())
        .map_or(0, unicode_width::UnicodeWidthStr::width);
    let gutter = span.line.to_string().len() + 4;
    let drawn = label
        .map(|label| visible(label).into_owned())
        .filter(|label| gutter + before + label.width() <= width);
    let left = if drawn.is_some() { None } else { label };
    let path = visible(&span.file.to_string_lossy()).into_owned();
    let snippet = Snippet::source(source)
        .line_start(span.line.max(1))
        .path(path)
        .fold(false)
        .annotation(AnnotationKind::Primary.span(mark).label(drawn));
    let drawing = Renderer::styled()
        .decor_style(DecorStyle::Unicode)
        .term_width(width)
        .render(&[Group::with_level(Level::ERROR).element(snippet)]);
    (drawing, left)
}

/// The source made visible line by line, tabs as four columns, with the mark moved along.
fn shown(span: &ConfSpan) -> (String, std::ops::Range<usize>) {
    let mut source = String::new();
    let (mut start, mut end) = (None, None);
    let mut lines = 1;
    for (at, c) in span.source.char_indices() {
        if start.is_none() && at >= span.mark.start {
            start = Some(source.len());
        }
        if end.is_none() && at >= span.mark.end {
            end = Some(source.len());
        }
        match c {
            '\n' if lines == LINES => break,
            '\n' => {
                lines += 1;
                source.push('\n');
            }
            '\t' => source.push_str("    "),
            // The line end of files from elsewhere.
            '\r' => {}
            c => source.push_str(&visible(c.encode_utf8(&mut [0; 4]))),
        }
    }
    let start = start.unwrap_or(source.len());
    let end = end.unwrap_or(source.len()).max(start);
    (source, start..end)
}
