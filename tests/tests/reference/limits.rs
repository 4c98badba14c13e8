//! What there is a limit for: settings whose name says so, and what no setting changes.

use viberchat_kit::auth::{JWKS_BYTES_MAX, LEEWAY_MAX};
use viberchat_kit::id::{RequestId, UserId};
use viberchat_kit::page::{PageSize, TOKEN_BYTES_MAX};

use crate::configuration::Configuration;
use crate::page;

const ABOUT: &str = "What is beyond a limit is refused with `LIMIT_EXCEEDED`, `INVALID_ARGUMENT`, `TEXT_TOO_LONG` or \
`RATE_LIMITED` ([errors.md](errors.md)), or waits. All other settings: [configuration.md](configuration.md).";

pub(crate) fn page(configuration: &Configuration) -> String {
    let is_limit = |key: &str| key.split('_').any(|part| matches!(part, "max" | "min"));
    let settings = configuration.keys().filter(|key| is_limit(&key.key)).map(|key| {
        vec![
            format!("`{}`", key.name()),
            page::number(&key.default),
            key.unit().to_owned(),
            key.meaning.clone(),
            key.allowed.clone(),
        ]
    });
    let mut text = page::begin("Limits", ABOUT);
    text.push_str("\n## That can be set\n");
    text.push_str(&page::table(&["setting", "default", "unit", "meaning", "check"], settings));
    text.push_str("\n## That are fixed\n");
    let fixed = [
        ("user id", UserId::BYTES_MAX, "bytes"),
        ("request id (`client_message_id` and the like)", RequestId::BYTES_MAX, "bytes"),
        ("items of a page that names no size", PageSize::DEFAULT.get(), "items"),
        ("items of a page", PageSize::MAX.get(), "items"),
        ("page token", TOKEN_BYTES_MAX, "bytes"),
        ("token of a user or service", viberchat_kit::auth::TOKEN_BYTES_MAX, "bytes"),
        ("key set of the host application", JWKS_BYTES_MAX, "bytes"),
        ("tolerated difference of clocks", LEEWAY_MAX.as_millis() as usize, "ms"),
    ];
    let rows = fixed
        .into_iter()
        .map(|(what, limit, unit)| vec![what.to_owned(), page::number(&limit.to_string()), unit.to_owned()]);
    text.push_str(&page::table(&["what", "at most", "unit"], rows));
    text
}
