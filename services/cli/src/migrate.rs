//! `viberchat migrate schema`.

use anyhow::Context as _;
use viberchat_message::StoreEngine;

use crate::assemble::create_folder;
use crate::command::{ListenArgs, MigrateArgs, MigrateCommand};
use crate::config::Config;

pub(crate) async fn run(command: MigrateCommand) -> anyhow::Result<()> {
    let MigrateCommand::Schema(MigrateArgs { config, dry_run }) = command;
    let config = Config::load(config.as_deref(), &ListenArgs::default())?;
    for line in schema(&config, dry_run).await? {
        println!("{line}");
    }
    Ok(())
}

/// Brings the schema of each configured store up to date; a line about each.
async fn schema(config: &Config, dry_run: bool) -> anyhow::Result<[String; 3]> {
    if !dry_run {
        create_folder(&config.data_dir)?;
    }
    let config = config.with_files_in_place();
    let conversation = viberchat_conversation::migrate_schema(&config.conversation, dry_run).await;
    let presence = viberchat_presence::migrate_schema(&config.presence, dry_run).await;
    let message = viberchat_message::migrate(&config.message, dry_run).await;
    Ok([
        format!("conversation: {}", conversation.context("conversation service")?),
        format!("presence: {}", presence.context("presence service")?),
        format!("message: {}", report(config.message.store, &message.context("message service")?, dry_run)),
    ])
}

fn report(engine: StoreEngine, statements: &[String], dry_run: bool) -> String {
    match engine {
        StoreEngine::Sqlite => "SQLite, brought up to date when the service starts".to_owned(),
        StoreEngine::Cassandra if statements.is_empty() => "Cassandra, up to date".to_owned(),
        StoreEngine::Cassandra => {
            let done = if dry_run { "would run" } else { "ran" };
            format!("Cassandra, {done}\n{};", statements.join(";\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use viberchat_engines::Server;
    use viberchat_kit::store::Engine;
    use viberchat_kit::store::postgres::DatabaseUrl;

    use super::*;

    /// What is said before, by four at once, and afterwards.
    async fn migrate(config: &Config, place: &str) {
        let dry = schema(config, true).await.unwrap().concat();
        assert!(dry.contains("version 0") && dry.contains("would apply 0001_"), "{dry}");
        assert!(dry.contains(place), "{dry}");
        let all = futures::future::join_all((0..4).map(|_| schema(config, false))).await;
        let all: Vec<_> = all.into_iter().map(|lines| lines.unwrap()).collect();
        for service in 0..2 {
            let applied = all.iter().filter(|lines| lines[service].contains(", applied 0001_")).count();
            assert_eq!(applied, 1, "{all:?}");
        }
        for dry_run in [true, false] {
            let lines = schema(config, dry_run).await.unwrap();
            assert!(lines[..2].iter().all(|line| line.contains("up to date")), "{lines:?}");
        }
    }

    #[tokio::test]
    async fn files_are_made_and_brought_up_to_date_once() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { data_dir: folder.path().join("data"), ..Config::default() };
        schema(&config, true).await.unwrap();
        assert!(!config.data_dir.exists(), "a dry run makes nothing");
        migrate(&config, "conversation.sqlite").await;
    }

    #[tokio::test]
    async fn schemas_are_made_and_brought_up_to_date_once() {
        let Some(address) = Server::Postgres.address() else { return };
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        let namespace = viberchat_engines::namespace("cli");
        (config.conversation.store, config.presence.store) = (Engine::Postgres, Engine::Postgres);
        for settings in [&mut config.conversation.postgres, &mut config.presence.postgres] {
            settings.url = Some(DatabaseUrl::parse(&address).unwrap());
            settings.namespace.clone_from(&namespace);
        }
        migrate(&config, &namespace).await;
    }
}
