//! What servers report of themselves: the words of `HAProxy`'s agent-check.

/// What one line says; whatever it does not mention stays as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Percent of its weight that the server can take.
    pub percent: Option<u8>,
    /// Whether it wants no new flows (`drain`, `maint`), or wants them again (`ready`).
    pub drained: Option<bool>,
    /// Whether it says that it is down (`down`, `failed`, `stopped`).
    pub is_down: bool,
}

impl Report {
    /// Reads a line: words between blanks and commas; what stands after `#` is for people. The words
    /// that make no sense are given back instead, if there is one.
    ///
    /// # Errors
    /// The first word that is none of the protocol's, or that there is no word.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut report = Self::default();
        let said = line.split('#').next().unwrap_or_default();
        let is_blank = |letter: char| letter.is_whitespace() || letter == ',';
        let mut words = said.split(is_blank).filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none() {
            return Err("an empty report".to_owned());
        }
        for word in words {
            match word.to_ascii_lowercase().as_str() {
                "ready" => report.drained = Some(false),
                "drain" | "maint" => report.drained = Some(true),
                "up" => {}
                // Connections here are not the balancer's to count.
                word if word.starts_with("maxconn:") => {}
                "down" | "failed" | "stopped" => report.is_down = true,
                other => {
                    let percent =
                        other.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok());
                    let percent =
                        percent.ok_or_else(|| format!("{word:?} is no word of a report"))?;
                    // More than everything cannot be given.
                    report.percent = Some(u8::try_from(percent.min(100)).unwrap_or(100));
                }
            }
        }
        Ok(report)
    }
}

/// What is known of a server by its reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// Percent of its weight that it can take.
    pub percent: u8,
    /// Whether it wants no new flows.
    pub drained: bool,
}

impl Default for Load {
    fn default() -> Self {
        Self { percent: 100, drained: false }
    }
}

impl Load {
    /// Takes a report in.
    pub fn take(&mut self, report: Report) {
        self.percent = report.percent.unwrap_or(self.percent);
        self.drained = report.drained.unwrap_or(self.drained);
    }

    /// Whether it is to take no new flows.
    pub const fn wants_none(self) -> bool {
        self.drained || self.percent == 0
    }
}
