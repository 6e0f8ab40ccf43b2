//! Other records than runs and builds: their storage in the ledger, and their sweep.

use bellhop_domain::instance::{Instance, InstanceEvent};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::Overdue;
use crate::ports::{Document, DocumentKey, DocumentKind, Versioned, Written};
use crate::{Engine, Fault, Handled};

/// A record that is stored as a document.
pub(crate) trait Kept: Serialize + DeserializeOwned {
    /// Its name.
    fn key(&self) -> DocumentKey;
    /// When it is due next.
    fn due(&self) -> Option<Timestamp>;
    /// When DynamoDB may delete it; `None` while it must stay.
    fn expires(&self) -> Option<Timestamp>;
}

impl Engine {
    /// Reads a record that is stored as a document.
    pub(crate) async fn load_kept<T: Kept>(&self, key: &DocumentKey) -> Result<Option<Versioned<T>>, Fault> {
        let Some(Versioned { version, record: text }) = self.ledger.document(key).await? else {
            return Ok(None);
        };
        let record = serde_json::from_str(&text)
            .map_err(|error| Fault::lasting(format!("the record of {key} cannot be read, at column {}", error.column())))?;
        Ok(Some(Versioned { version, record }))
    }

    /// Stores such a record if the stored version is the expected one; 0 means that it does not exist yet.
    pub(crate) async fn store_kept<T: Kept>(&self, expected: u64, record: &T) -> Result<Written, Fault> {
        let key = record.key();
        let text = serde_json::to_string(record)
            .map_err(|error| Fault::lasting(format!("the record of {key} cannot be written as JSON")).caused_by(error))?;
        let document = Document {
            key,
            text,
            due: record.due(),
            expires: record.expires(),
        };
        self.ledger.update_document(expected, &document).await
    }

    /// Processes a due record that is stored as a document.
    pub(crate) async fn sweep_document(&self, key: &DocumentKey) -> Result<Handled, Fault> {
        match key.kind {
            DocumentKind::Instance => match self.load_kept::<Instance>(key).await? {
                Some(instance) => self.advance(instance, vec![InstanceEvent::Tick], Overdue::Perform).await,
                None => Ok(Handled::Unknown),
            },
            DocumentKind::Configuration => self.sweep_configuration().await,
            DocumentKind::Alarm => self.sweep_alarm(key).await,
            DocumentKind::Backup => self.sweep_backup(&key.name).await,
            // These are never due.
            DocumentKind::Claim | DocumentKind::Pause | DocumentKind::Standing => Ok(Handled::Unknown),
        }
    }
}
