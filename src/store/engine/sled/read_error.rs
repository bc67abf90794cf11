//! Why something stored could not be read.

use crate::store::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the database could not be read: {0}")]
    Database(#[from] sled::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a record is damaged: {0} has a wrong form")]
    Key(&'static str),
    #[error("data is lost: the database lacks an entry that the index refers to")]
    Lost,
}
