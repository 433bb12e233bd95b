#pragma once
// The kept plan of a started job: its steps and how far they are. Written before the first step,
// and moved on in the transaction of each, so that any worker can go on where another one died
// (promises 2, 6). One thread per session.

#include <string>
#include <vector>

#include "jobs/job.hpp"
#include "pg/session.hpp"
#include "plan/plan.hpp"

namespace lockkeeper::jobs {

struct StoredStep {
  int seq = 0;
  std::string state;  ///< pending, running, done, undone
  plan::Step step;
};

/// Keeps `plan`; false: the claim is lost or the job is to be stopped.
bool keep_plan(pg::Session& session, const Claim& claim, const plan::Plan& plan);

/// The steps of the kept plan, in order; none: there is no plan.
std::vector<StoredStep> steps(pg::Session& session, JobId job);

/// What has been done, for history.
std::string steps_for_history(const std::vector<StoredStep>& steps);

/// Before the end of a step: fails when its table is not the one any more that the plan was made
/// for.
std::string same_target_text(const StoredStep& step);
/// The name that the table of the plan has now, quoted; empty: it is gone.
std::string target_now(pg::Session& session, const StoredStep& step);

/// Sent in one message with COMMIT, in the transaction of the step (or after it, when the step
/// cannot be in one). Its errors: not_ended().
std::string end_step_text(const Claim& claim, const StoredStep& step);

/// From now on the job goes back, whoever claims it, because of `reason`. False: the claim is lost.
bool begin_rollback(pg::Session& session, const Claim& claim, const Report& reason);

/// Sent in one message with COMMIT, in the transaction that takes the step back.
std::string undo_step_text(const Claim& claim, const StoredStep& step);

/// Statements that come after the job in its batch, in their order.
std::vector<std::string> later_statements(pg::Session& session, JobId job);

}  // namespace lockkeeper::jobs
