//! Stories from end to end, over real sockets, against the binary as a process.

mod bad_frames;
mod cut_off;
mod races;

use anyhow::Result;
use viberchat_tests::{
    client::Client,
    cluster::{Server, Settings},
    history::{self, Door, History, Recorder, Report, scan_store},
};

/// A server, and the history of all who use it.
struct Stage {
    server: Server,
    recorder: Recorder,
}

impl Stage {
    async fn open() -> Result<Self> {
        Self::open_with(|settings| settings).await
    }

    async fn open_with(change: impl FnOnce(Settings) -> Settings) -> Result<Self> {
        let settings = change(Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?);
        Ok(Self { server: Server::start(&settings).await?, recorder: Recorder::default() })
    }

    fn user(&self, name: &str) -> Result<Client> {
        Client::new(&self.server, name, &self.recorder)
    }

    async fn online(&self, name: &str) -> Result<Client> {
        let mut client = self.user(name)?;
        client.connect().await?;
        Ok(client)
    }

    /// Reads the conversations by all doors for all, stops the server, scans its files and judges.
    async fn close(mut self, readers: &[(&Client, &[&str])]) -> Result<(History, Report)> {
        for (client, conversations) in readers {
            for conversation in *conversations {
                for door in [Door::Http, Door::Grpc] {
                    client.read_whole_log(door, conversation).await?;
                    client.list_all(door, conversation).await?;
                }
            }
        }
        self.server.stop(&self.recorder).await?;
        self.recorder.scan(scan_store(&self.server.settings().data_folder(), true)?);
        let history = self.recorder.history();
        let report = history::check(&history);
        Ok((history, report))
    }
}
