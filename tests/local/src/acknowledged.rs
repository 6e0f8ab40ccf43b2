//! The table "what is acknowledged, and what is retried" of docs/explanation/architecture.md, row by row, on the real binaries: each row's input is given to the
//! deployed function through Lambda's API, with the row's fault in the way.
//!
//! The table itself says what every row is answered with, whether its event comes into a dead-letter queue, and what a later sweep mends; here stands
//! only what is given. A row that one side alone has is an error.
//!
//! One file tries the rows of one source of events: [`pushes`], [`agents`], [`instances`], [`actions`], [`requests`], [`alarms`], [`backups`]; [`nothing`] those
//! that start nothing, [`time_outs`] those that take long. [`mending`] lets the sweeps repair what the rows left. This file only runs them in order; a new row is
//! one call of `row` or `failing` in the file of its source.

mod actions;
mod agents;
mod alarms;
mod backups;
mod inputs;
mod instances;
mod mending;
mod nothing;
mod pushes;
mod requests;
mod table;
mod time_outs;

use std::cell::RefCell;

use anyhow::{Context as _, ensure};
use xtask::workspace::root;

use crate::clock::Clock;
use crate::shop::Shop;
use crate::stack::Stack;
use crate::{requests as recorded, secrets};
use table::{Table, rows_of};

/// Tries every row.
///
/// # Errors
/// A row does not hold; it is named. Or a secret came out.
pub(crate) async fn run() -> anyhow::Result<()> {
    let clock = RefCell::new(Clock::start()?);
    // At the most talkative level: no secret may be in what the functions log.
    let stack = &Stack::start("TRACE").await?;
    let text =
        std::fs::read_to_string(root().join("docs/explanation/architecture.md")).context("cannot read docs/explanation/architecture.md")?;
    let rows = rows_of(&text)?;
    stack.aws.put_parameter(secrets::PARAMETER, secrets::OF_THE_STORE).await?;
    // Only what is invoked here reaches the functions.
    stack.stand_in.events().set_publishing(false);
    stack.stand_in.codepipeline().set_invoking(false);
    let table = Table {
        stack,
        clock,
        shop: Shop::create(stack).await?,
        queue: stack.aws.subscribe_queue(stack.output("TopicArn")?, "bellhop-acknowledged").await?,
        rows,
        state: RefCell::default(),
    };
    let done = table.all().await;
    stack.stand_in.faults().clear();
    stack.stand_in.events().set_publishing(true);
    stack.stand_in.codepipeline().set_invoking(true);
    done?;
    let calls = recorded::record(stack, "acknowledged").await?;
    println!("  {calls} different requests are recorded for the step policies");
    Ok(())
}

impl Table<'_> {
    async fn all(&self) -> anyhow::Result<()> {
        self.nothing_to_do().await?;
        self.nothing_to_run().await?;
        self.refused_files().await?;
        self.ordinary().await?;
        self.on_codebuild().await?;
        self.on_step_functions().await?;
        self.instances().await?;
        self.actions().await?;
        self.requests().await?;
        self.alarms().await?;
        self.backups().await?;
        self.conflicts().await?;
        self.launches().await?;
        self.faults_of_a_push().await?;
        self.faults_of_an_event().await?;
        self.faults_of_an_effect().await?;
        self.time_outs().await?;
        let unreadable = self.unreadable().await?;
        self.mend(unreadable).await?;
        self.hand_back().await?;

        let state = self.state.take();
        let untried: Vec<_> = self.rows.keys().filter(|key| !state.tried.contains(*key)).collect();
        ensure!(
            untried.is_empty(),
            "rows of the table in docs/explanation/architecture.md without a test: {untried:?}"
        );
        println!("  every row of the table was tested: {}", state.tried.len());
        secrets::are_given(self.stack)?;
        secrets::are_nowhere(self.stack, &state.answers).await
    }
}
