//! What the server says to the person at the terminal, and what the audit records of that person's commands.

use weir_store::{AuditDraft, Outcome};

#[expect(clippy::print_stderr, reason = "for the person at the terminal; logs may be shipped elsewhere")]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

/// The audit line of a command, by the user's number: the names are on this machine for whoever reads the audit.
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
