//! The measured parts of a page, each between a line `<!-- measured: NAME -->` and a line `<!-- end -->`.

use anyhow::Context as _;

/// The page with these parts replaced; the others stay as they are.
///
/// # Errors
/// A part that the page does not have, or that has no end.
pub(crate) fn renewed(page: &str, parts: &[(&str, String)]) -> anyhow::Result<String> {
    let mut page = page.to_owned();
    for (name, text) in parts {
        let mark = format!("<!-- measured: {name} -->\n");
        let from = page.find(&mark).with_context(|| format!("the page has no part {name}"))? + mark.len();
        let rest = page.get(from..).unwrap_or_default();
        let length = rest
            .find("<!-- end -->")
            .with_context(|| format!("part {name} of the page has no end"))?;
        page.replace_range(from..from + length, &format!("\n```text\n{}\n```\n\n", text.trim_end()));
    }
    Ok(page)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_nothing_else() {
        let page = "a\n<!-- measured: one -->\nold\n<!-- end -->\nb\n<!-- measured: two -->\nstays\n<!-- end -->\n";
        let new = renewed(page, &[("one", "new\n".to_owned())]).unwrap();
        assert_eq!(
            new,
            "a\n<!-- measured: one -->\n\n```text\nnew\n```\n\n<!-- end -->\nb\n<!-- measured: two -->\nstays\n<!-- end -->\n"
        );
        assert_eq!(renewed(&new, &[("one", "new\n".to_owned())]).unwrap(), new);
        assert!(renewed(page, &[("three", String::new())]).is_err());
        assert!(renewed("<!-- measured: one -->\n", &[("one", String::new())]).is_err());
    }
}
