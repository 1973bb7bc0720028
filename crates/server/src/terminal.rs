//! What is said to the person at the terminal, and what is written down of what that person does.

use weir_store::{AuditDraft, Outcome};

#[expect(clippy::print_stderr, reason = "for the person at the terminal; logs may be shipped elsewhere")]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

/// By the user's number: names are for whoever reads the audit on this machine to look up.
pub(crate) fn audited(action: &str, subject: &str) -> AuditDraft {
    AuditDraft {
        actor: format!("cli:{}", rustix::process::getuid().as_raw()),
        action: action.to_owned(),
        subject: subject.to_owned(),
        outcome: Outcome::Ok,
        status: None,
        address: None,
    }
}
