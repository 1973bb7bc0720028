//! What the contract names for later versions is refused by its name, so that nothing is accepted and then ignored.

/// The fields of later versions by where they stand in a body, without the numbers of lists.
const FIELDS: [&str; 13] = [
    "audio",
    "embed_domains",
    "encode",
    "encryption",
    "failover.content",
    "failover.content_seconds",
    "on_demand",
    "sources.headers",
    "sources.interface",
    "sources.program",
    "sources.proxy",
    "sources.user_agent",
    "tags",
];

/// The addresses of later versions, as the router writes them.
pub(crate) const PATHS: [&str; 22] = [
    "/api/v1/alerts",
    "/api/v1/alerts/{id}",
    "/api/v1/channels",
    "/api/v1/channels/{id}",
    "/api/v1/channels/{id}/test",
    "/api/v1/incidents",
    "/api/v1/incidents/{id}",
    "/api/v1/incidents/{id}/acknowledge",
    "/api/v1/nodes",
    "/api/v1/nodes/{name}",
    "/api/v1/nodes/{name}/drain",
    "/api/v1/probes",
    "/api/v1/restreams/test",
    "/api/v1/restreams/{id}/test",
    "/api/v1/streams/import",
    "/api/v1/streams/{id}/captions",
    "/api/v1/streams/{id}/clips",
    "/api/v1/streams/{id}/clone",
    "/api/v1/streams/{id}/probes",
    "/api/v1/streams/{id}/splice",
    "/api/v1/usage",
    "/embed/{name}",
];

/// Whether a field that no type of ours has belongs to a later version.
pub(crate) fn names_field(path: &str) -> bool {
    FIELDS.contains(&without_numbers(path).as_str())
}

/// The path without the numbers of lists: `sources[0].kind` becomes `sources.kind`.
fn without_numbers(path: &str) -> String {
    let mut inside = false;
    let keep = |c: &char| {
        inside = (inside || *c == '[') && *c != ']';
        !inside && *c != ']'
    };
    path.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::RULES;

    #[test]
    fn fields_are_known_wherever_they_stand() {
        for (path, known) in [
            ("encryption", true),
            ("sources[0].user_agent", true),
            ("user_agent", false),
            ("sources[0].encryption", false),
            ("encryptoin", false),
            ("", false),
        ] {
            assert_eq!(names_field(path), known, "{path}");
        }
    }

    /// An address that is served must not be listed for later as well.
    #[test]
    fn no_address_is_served_and_for_later() {
        for (_, path, _) in RULES {
            assert!(!PATHS.contains(path), "{path}");
        }
    }
}
