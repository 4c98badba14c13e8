//! Stories from end to end, over real sockets, against the binary as a process.

/// Stamps stories that take an encoding as tests, one for each encoding of the frames.
macro_rules! in_both_encodings {
    ($($story:ident)*) => {
        $(
            mod $story {
                use viberchat_tests::client::socket::Encoding;

                #[tokio::test(flavor = "multi_thread")]
                async fn in_json() -> anyhow::Result<()> {
                    super::$story(Encoding::Json).await
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn in_binary() -> anyhow::Result<()> {
                    super::$story(Encoding::Binary).await
                }
            }
        )*
    };
}

mod bad_frames;
mod crossed;
mod cut_off;
mod directs;
mod drain;
mod hidden_history;
mod nodes;
mod presence;
mod races;
mod restart;
mod restored;
mod retried;
mod split;
mod store_away;
mod writers;

use anyhow::Result;
use viberchat_tests::{
    client::{Client, socket::Encoding},
    cluster::{Server, Settings},
    history::{self, Door, History, Recorder, Report, scan_store},
};

/// A server, and the history of all who use it.
struct Stage {
    server: Server,
    recorder: Recorder,
    encoding: Encoding,
}

impl Stage {
    async fn open(encoding: Encoding) -> Result<Self> {
        Ok(Self { encoding, ..Self::open_with(|settings| settings).await? })
    }

    async fn open_with(change: impl FnOnce(Settings) -> Settings) -> Result<Self> {
        let settings = change(Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?);
        let server = Server::start(&settings).await?;
        Ok(Self { server, recorder: Recorder::default(), encoding: Encoding::Json })
    }

    fn user(&self, name: &str) -> Result<Client> {
        Client::with_encoding(&self.server, name, self.encoding, &self.recorder)
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
