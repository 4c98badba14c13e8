//! `viberchat doctor`: looks at what the configuration names, and says what to do.
//!
//! It reads and changes nothing, so it may be run on a live deployment, and before the first start.

use std::fs;
use std::path::Path;

use anyhow::bail;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use viberchat_kit::bus;
use viberchat_kit::clock::SystemClock;
use viberchat_kit::doctor::{Finding, PATIENCE, Verdict, causes};
use viberchat_kit::rpc::Target;
use viberchat_kit::store::Engine;
use viberchat_kit::telemetry::Metrics;
use viberchat_message::StoreEngine;

use crate::command::{ConfigArgs, ListenArgs};
use crate::config::Config;
use crate::role::Service;

/// A gateway needs a file descriptor for each socket.
const FILES_MIN: u64 = 65_536;

pub(crate) async fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = Config::load(args.config.as_deref(), &ListenArgs::default())?;
    let findings = examine(&config).await;
    for finding in &findings {
        println!("{finding}");
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    match count(Verdict::Bad) {
        0 => Ok(()),
        bad => bail!("{bad} of {} do not work, {} are doubtful", findings.len(), count(Verdict::Doubtful)),
    }
}

async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = of_configuration(config).await;
    findings.extend(of_files());
    let config = &config.with_files_in_place();
    let Config { data_dir, conversation, message, presence, .. } = config;
    let has_files = conversation.store == Engine::Sqlite
        || presence.store == Engine::Sqlite
        || message.store == StoreEngine::Sqlite;
    if has_files {
        findings.push(of_folder(data_dir));
    }
    let clock = SystemClock;
    findings.extend(viberchat_conversation::examine(conversation, &clock).await);
    findings.extend(viberchat_presence::examine(presence, &clock).await);
    findings.extend(viberchat_message::examine(message, &clock).await);
    if config.bus.is_set() {
        findings.extend(bus::examine(&config.bus).await);
    }
    for service in Service::ALL {
        if let Some(target) = config.services.target(service) {
            findings.extend(of_service(service, target).await);
        }
    }
    findings
}

async fn of_configuration(config: &Config) -> Vec<Finding> {
    let wrong = config.findings();
    let mut findings: Vec<_> =
        wrong.into_iter().map(|wrong| Finding::bad("configuration", wrong, "the reference has every key")).collect();
    if findings.is_empty() {
        findings.push(Finding::good("configuration", "every value is possible"));
    }
    findings.push(match config.require_keys() {
        Ok(_) => Finding::good("keys", "tokens, pages and fingerprint are set"),
        Err(error) => Finding::bad("keys", format!("{error:#}"), "make each with `openssl rand -base64 32`"),
    });
    if let Err(error) = config.auth.jwks(&Metrics::new()).await {
        findings.push(Finding::bad(
            "auth",
            format!("{error:#}"),
            "users with tokens of the host application are refused",
        ));
    }
    findings
}

/// How many files a process may have open, where the system says it.
fn of_files() -> Option<Finding> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let limit = line.split_whitespace().next()?;
    let is_enough = limit == "unlimited" || limit.parse::<u64>().is_ok_and(|limit| limit >= FILES_MIN);
    let advice = "raise it for gateways (ulimit -n, LimitNOFILE): each socket takes one";
    Some(Finding::when(is_enough, "open files", format!("at most {limit}"), Verdict::Doubtful, advice))
}

fn of_folder(folder: &Path) -> Finding {
    let shown = folder.display().to_string();
    if !folder.exists() {
        return Finding::good("data_dir", format!("{shown} is made at the first start"));
    }
    match tempfile::tempfile_in(folder) {
        Ok(_) => Finding::good("data_dir", format!("{shown} can be written")),
        Err(error) => Finding::bad("data_dir", format!("{shown}: {error}"), "let the account write there"),
    }
}

/// Each place of a service, asked for its health.
async fn of_service(service: Service, target: &Target) -> Vec<Finding> {
    let advice =
        "look at the address, at the network, and whether the process runs; who calls it gets STORE_UNAVAILABLE";
    let mut findings = Vec::new();
    for place in target.to_string().split(',') {
        let about = format!("services.{} {place}", service.name());
        findings.push(match tokio::time::timeout(PATIENCE, health(place)).await {
            Ok(Ok(status)) => {
                let found = format!("{status:?}").to_lowercase();
                Finding::when(
                    status == ServingStatus::Serving,
                    &about,
                    found,
                    Verdict::Bad,
                    "see its /readyz and its log",
                )
            }
            Ok(Err(error)) => Finding::bad(about, error, advice),
            Err(_) => Finding::bad(about, "does not answer", advice),
        });
    }
    findings
}

async fn health(place: &str) -> Result<ServingStatus, String> {
    let endpoint = Endpoint::from_shared(place.trim().to_owned()).map_err(|error| causes(&error))?;
    let channel = endpoint.connect_timeout(PATIENCE).connect().await.map_err(|error| causes(&error))?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| status.message().to_owned())
}

#[cfg(test)]
mod tests {
    use viberchat_engines::Server;
    use viberchat_kit::keys::Keys;
    use viberchat_kit::store::postgres::DatabaseUrl;

    use super::*;

    fn of<'a>(findings: &'a [Finding], about: &str) -> Vec<&'a Finding> {
        let found: Vec<_> = findings.iter().filter(|finding| finding.about.starts_with(about)).collect();
        assert!(!found.is_empty(), "nothing about {about}: {findings:?}");
        found
    }

    fn is_bad(findings: &[Finding], about: &str) -> bool {
        of(findings, about).iter().any(|finding| finding.verdict == Verdict::Bad && !finding.advice.is_empty())
    }

    fn configured(folder: &Path) -> Config {
        Config {
            data_dir: folder.to_owned(),
            keys: Some(Keys::generate(&viberchat_kit::id::SystemEntropy)),
            ..Config::default()
        }
    }

    #[tokio::test]
    async fn one_process_on_files_is_well_before_its_first_start() {
        let folder = tempfile::tempdir().unwrap();
        let findings = examine(&configured(folder.path())).await;
        assert!(findings.iter().all(|finding| finding.verdict != Verdict::Bad), "{findings:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it changes nothing");
        for about in ["schema", "log"] {
            let found = &of(&findings, about)[0].found;
            assert!(found.contains(&folder.path().display().to_string()), "{found}");
        }
    }

    #[tokio::test]
    async fn what_is_missing_or_silent_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { keys: None, ..configured(folder.path()) };
        // Nobody listens there: the port is privileged and of no service.
        config.services.message = Some("http://127.0.0.1:1".parse().unwrap());
        config.conversation.store = Engine::Postgres;
        config.conversation.postgres.url = Some(DatabaseUrl::parse("postgres://nobody@127.0.0.1:1/none").unwrap());
        config.message.store = StoreEngine::Cassandra;
        config.message.cassandra.contact_points = vec!["127.0.0.1:1".to_owned()];
        config.bus.url = "nats://127.0.0.1:1".to_owned();
        let findings = examine(&config).await;
        for about in ["keys", "services.message", "PostgreSQL", "Cassandra"] {
            assert!(is_bad(&findings, about), "{about}: {findings:?}");
        }
        assert_eq!(of(&findings, "bus")[0].verdict, Verdict::Doubtful, "all works without the bus");
    }

    #[tokio::test]
    async fn engines_are_asked_for_what_matters() {
        let (Some(postgres), Some(cassandra), Some(nats)) =
            (Server::Postgres.address(), Server::Cassandra.address(), Server::Nats.address())
        else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let mut config = configured(folder.path());
        let namespace = viberchat_engines::namespace("doctor");
        (config.conversation.store, config.message.store) = (Engine::Postgres, StoreEngine::Cassandra);
        config.conversation.postgres.url = Some(DatabaseUrl::parse(&postgres).unwrap());
        config.conversation.postgres.namespace.clone_from(&namespace);
        config.message.cassandra.contact_points = vec![cassandra];
        config.message.cassandra.namespace.clone_from(&namespace);
        config.message.cassandra.replication_factor = 1;
        config.bus.url = nats;
        let findings = examine(&config).await;
        assert!(is_bad(&findings, "schema"), "nobody has migrated: {findings:?}");
        for about in ["PostgreSQL", "Cassandra", "bus"] {
            let found = of(&findings, about);
            assert!(found[0].verdict == Verdict::Good && found[0].found.contains("version"), "{found:?}");
        }
        viberchat_conversation::migrate_schema(&config.conversation, false).await.unwrap();
        let findings = examine(&config).await;
        assert!(of(&findings, "schema").iter().any(|found| found.verdict == Verdict::Bad), "half: {findings:?}");
        viberchat_message::migrate(&config.message, false).await.unwrap();
        let findings = examine(&config).await;
        assert!(findings.iter().all(|finding| finding.verdict != Verdict::Bad), "{findings:?}");
        let one_copy = of(&findings, "Cassandra").into_iter().find(|found| found.found.contains("copies in"));
        assert_eq!(one_copy.unwrap().verdict, Verdict::Doubtful);
    }
}
