use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use super::connection;
use crate::store::{Result, StoreError};

/// How long a read waits for a connection.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Read connections, used one reader at a time each, on the runtime's blocking threads.
pub(super) struct Readers {
    /// One permit for each connection; who has one finds a connection in `idle`, or opens one anew.
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
    path: PathBuf,
}

impl Readers {
    pub(super) fn open(path: &Path, connections: usize) -> rusqlite::Result<Self> {
        let idle = (0..connections).map(|_| connection::open_reader(path)).collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(connections)),
            idle: Arc::new(Mutex::new(idle)),
            path: path.to_owned(),
        })
    }

    /// Asks one or several questions of one snapshot.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = tokio::time::timeout(WAIT_MAX, self.permits.clone().acquire_owned())
            .await
            .map_err(|_| StoreError::Unavailable("all readers are busy".to_owned()))?
            .map_err(|_| StoreError::Unavailable("the readers have stopped".to_owned()))?;
        let idle = self.idle.clone();
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let pooled = idle.lock().pop();
            let mut connection = match pooled {
                Some(connection) => connection,
                None => connection::open_reader(&path)?,
            };
            let answer = snapshot(&mut connection, question)?;
            idle.lock().push(connection);
            Ok(answer)
        });
        match read.await {
            Ok(answer) => answer.map_err(|error: rusqlite::Error| classify(&error)),
            Err(error) => Err(StoreError::Unavailable(format!("a reader died: {error}"))),
        }
    }
}

/// A connection on which something failed is not used again.
fn snapshot<T>(
    connection: &mut Connection,
    question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction()?;
    let answer = question(&transaction)?;
    transaction.commit()?;
    Ok(answer)
}

fn classify(error: &rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
            StoreError::Corrupt(error.to_string())
        }
        _ => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Unavailable(error.to_string()),
        },
    }
}
