//! The ledger in memory keeps what every ledger has to keep.

use bellhop_engine::conformance;
use bellhop_engine::memory::MemoryLedger;

#[tokio::test]
async fn the_ledger_in_memory_conforms() {
    conformance::all(&MemoryLedger::default()).await;
}
