//! Text for a page: escaped, always. Nothing else in this folder writes a scenario's words into markup.
use std::fmt;

/// Text that is safe inside an element and inside a quoted attribute.
pub(super) struct Text<T>(pub T);

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.to_string().chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

/// The style that gives an element a party's colour; grey for nobody.
pub(super) fn colour(party: Option<usize>) -> String {
    /// So many colours there are; then they begin again.
    const COLOURS: usize = 12;
    match party {
        Some(party) => format!("--c:var(--p{})", party % COLOURS),
        None => "--c:var(--none)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_name_stays_text() {
        let nasty = r#"<script>alert("x")</script> & 'y'"#;
        let safe = "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;y&#39;";
        assert_eq!(Text(nasty).to_string(), safe);
    }
}
