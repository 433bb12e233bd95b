// Jobs of several online steps: forward, one transaction a step, from wherever an earlier claim
// stopped; and the way back, when such a job fails or is cancelled (promises 6 and 7).
#include <algorithm>

#include "base/log.hpp"
#include "base/testpoint.hpp"
#include "catalog/reader.hpp"
#include "jobs/steer.hpp"
#include "plan/announce.hpp"
#include "plan/online.hpp"
#include "plan/planner.hpp"
#include "workers/executor.hpp"

namespace lockkeeper::workers {
namespace {

bool may_have_steps(const jobs::Job& job, const std::string& pool) {
  return job.transactional && !job.opaque && !job.unparsed_run && job.statements.size() == 1 &&
         (job.outside_started || pool == jobs::kReorg || job.action.rfind("drop ", 0) == 0 ||
          job.action.rfind("alter table", 0) == 0);
}

}  // namespace

std::optional<plan::Plan> Executor::online_plan(const jobs::Job& job) {
  const auto unit = parse::parse_one(job.statements.front());
  const bool destroys = plan::destroys(unit);
  const bool nodes = destroys && versions::any_nodes(session_);
  unannounced_ = destroys && !nodes;
  // The general pool runs what it was given: only announcements are made there.
  const bool steps = plan::may_be_online(unit) && identity_.pool == jobs::kReorg;
  if (!steps && !nodes) return std::nullopt;
  auto facts = [&] {
    JobSession dressed(session_, own_, job, settings_.lock_timeout);
    const pg::Transaction tx(session_, dressed.begin_text());
    return catalog::read(session_, plan::wanted_facts(unit, job.role),
                         [&](const std::string& text) { dressed.run(text); });
  }();
  facts.nodes = nodes;
  auto plan = plan::online(unit, facts);
  if (plan && plan->moves_columns) need_no_places(job, unit);
  return plan;
}

// What the same file inserts by the places of columns would go into others.
void Executor::need_no_places(const jobs::Job& job, const parse::Unit& unit) {
  const auto& table = unit.statements.front().parts.front().relation;
  for (const auto& text : jobs::later_statements(session_, job.claim.job)) {
    const auto later = parse::statements_or_none(text);
    const bool relies = std::any_of(later.begin(), later.end(), [&](const auto& statement) {
      return std::any_of(
          statement.by_position.begin(), statement.by_position.end(), [&](const auto& ref) {
            return ref.name == table.name &&
                   (ref.schema.empty() || table.schema.empty() || ref.schema == table.schema);
          });
    });
    if (!relies) continue;
    Report report;
    report.sqlstate = "55000";
    report.message = "a later statement of this batch relies on the places of the columns of " +
                     parse::quoted_name(table) +
                     ", and one that gets a new type becomes the last one";
    report.detail = text;
    report.hint =
        "name the columns in it; or change the table in place, under a lock: apply the file with "
        "--single-transaction";
    throw Error(Retry::never, report, "plan");
  }
}

std::vector<jobs::StoredStep> Executor::steps_of(const jobs::Job& job) {
  unannounced_ = false;
  if (!may_have_steps(job, identity_.pool)) return {};
  auto stored = jobs::steps(session_, job.claim.job);
  if (!stored.empty()) return stored;
  const auto plan = counted("plan", [&] { return online_plan(job); });
  if (!plan) return {};
  if (!jobs::keep_plan(session_, job.claim, *plan))
    throw Error(Retry::same_session, "the claim does not hold any more", "57014");
  log::info("plan kept", {{"job", job.claim.job.str()},
                          {"action", job.action},
                          {"steps", std::to_string(plan->steps.size())}});
  testpoint::reach("plan_kept");
  return jobs::steps(session_, job.claim.job);
}

void Executor::run_steps(const jobs::Job& job, const std::vector<jobs::StoredStep>& steps) {
  for (const auto& step : steps) {
    if (step.state == "done") continue;
    wait_until_synced(job);
    if (&step == &steps.front() && !step.step.hides.empty()) rehearse_drop(job, steps);
    const bool last = &step == &steps.back();
    const std::string history = last ? jobs::steps_for_history(steps) : std::string();
    if (step.step.kind == plan::StepKind::probe || step.step.kind == plan::StepKind::backfill) {
      if (step.step.kind == plan::StepKind::probe)
        counted("probe", [&] { run_probe(job, step); });
      else
        run_backfill(job, step);
      if (job.role == own_.login) continue;
      jobs::hand_back(session_, job.claim, std::chrono::milliseconds(0), false, std::nullopt);
      session_.poison();
      return;
    }
    if (step.step.cut_over) wait_for_cut_over(job);
    if (step.step.kind == plan::StepKind::transaction) {
      const std::string end =
          last ? jobs::same_target_text(step) + jobs::end_well_text({job}, history, identity_, 0)
               : jobs::end_step_text(job.claim, step);
      const bool behind = std::any_of(steps.begin(), steps.end(), [&](const auto& other) {
        return other.seq < step.seq && other.step.no_return;
      });
      const bool foreign = counted("step", [&] {
        return behind ? run_behind(job, step, end) : run_step(job, step, step.step.statements, end);
      });
      if (last) ended({job}, jobs::claimed(session_));
      if (!foreign) continue;
      // The session must not be used again: another one goes on.
      if (!last)
        jobs::hand_back(session_, job.claim, std::chrono::milliseconds(0), false, std::nullopt);
      session_.poison();
      return;
    }
    log::info("step begins", {{"job", job.claim.job.str()}, {"step", std::to_string(step.seq)}});
    need_target(step);
    do_outside(job, step.step.statements.front(), step.seq);
    testpoint::reach("between_steps");
    if (last)
      finish_alone(job, history);
    else
      pg::Transaction(session_).commit(jobs::end_step_text(job.claim, step));
  }
}

// Does it find a row? When it cannot know, the constraint itself will tell.
bool Executor::finds(const jobs::Job& job, JobSession& dressed, const std::string& query) {
  try {
    const pg::Transaction tx(session_, dressed.begin_text() + "SET LOCAL statement_timeout = " +
                                           std::to_string(settings_.probe_most.count()) + ";");
    return dressed.run(query) > 0;
  } catch (const Error& error) {
    if (session_.broken()) throw;
    log::info("not looked for rows that do not fit",
              {{"job", job.claim.job.str()}, {"reason", error.what()}});
    jobs::check_claim(session_, job.claim);
    return false;
  }
}

// Nothing is changed yet: a row that does not fit is the end of the job, and of nothing else.
void Executor::run_probe(const jobs::Job& job, const jobs::StoredStep& step) {
  log::info("step begins", {{"job", job.claim.job.str()}, {"step", std::to_string(step.seq)}});
  JobSession dressed(session_, own_, job, settings_.lock_timeout);
  for (std::size_t i = 0; i < step.step.statements.size(); ++i) {
    if (settings_.probe_most.count() == 0 || !finds(job, dressed, step.step.statements[i]))
      continue;
    const auto& failure = step.step.failures.at(i);
    Report report;
    report.sqlstate = failure.substr(0, 5);
    report.message = failure.substr(6);
    throw Error(Retry::never, report, "probe");
  }
  pg::Transaction(session_).commit(jobs::end_step_text(job.claim, step));
}

// What came to a column since the plan was made would be lost with it.
void Executor::need_same_dependents(const jobs::StoredStep& step) {
  for (const auto& [column, digest] : step.step.digests) {
    if (catalog::digest_of(session_, step.step.target_oid, column) == digest) continue;
    Report report;
    report.sqlstate = "55000";
    report.message = "column " + parse::quoted(column) + " of " + step.step.target +
                     ", or what depends on it, was changed while its change was under way";
    throw Error(Retry::never, report, "step");
  }
}

// As long as it was asked for; whoever says when wakes the queue.
void Executor::wait_for_cut_over(const jobs::Job& job) {
  const auto tuning = jobs::tuning_of(session_, job.claim.job);
  const auto found = tuning.find("postpone_cutover");
  if (found == tuning.end() || found->second != "on") return;
  Report report;
  report.sqlstate = "55P03";
  report.message = "waits for lockkeeper cutover " + job.claim.job.str() +
                   ", because its cut-over was to be postponed";
  report.waits_for = "cut-over";
  look_again_after_ = std::chrono::minutes(1);
  throw Error(Retry::same_session, report, kLook);
}

// What lockkeeper.same_target says of a step that is in a transaction.
void Executor::need_target(const jobs::StoredStep& step) {
  if (step.step.target_oid.empty() || jobs::target_now(session_, step) == step.step.target) return;
  Report report;
  report.sqlstate = "55000";
  report.message =
      "table " + step.step.target + " was renamed or replaced while its change was under way";
  throw Error(Retry::never, report, "step");
}

bool Executor::run_step(const jobs::Job& job, const jobs::StoredStep& step,
                        const std::vector<std::string>& statements, const std::string& end) {
  jobs::Job part = job;
  part.statements = statements;
  const bool patient = plan::patient(step.step);
  JobSession dressed(session_, own_, part,
                     patient ? settings_.long_lock_timeout : settings_.lock_timeout);
  if (!patient) look(dressed, job, step.step.locks);
  log::info("step begins", {{"job", job.claim.job.str()}, {"step", std::to_string(step.seq)}});
  send_in_steps({part}, dressed, end, [&] { need_same_dependents(step); });
  return !dressed.trusted();
}

// Announcing what cannot be dropped would have to be taken back, and rows are written without it
// from "delete only" on. Only of statements that are quick: others are planned in steps.
void Executor::rehearse_drop(const jobs::Job& job, const std::vector<jobs::StoredStep>& steps) {
  const auto& last = steps.back().step;
  const auto announced = static_cast<std::size_t>(std::count_if(
      steps.begin(), steps.end(), [](const auto& step) { return !step.step.hides.empty(); }));
  if (announced + 1 != steps.size() ||
      std::any_of(last.locks.begin(), last.locks.end(),
                  [](const auto& lock) { return lock.rewrites || lock.scans; }))
    return;
  JobSession dressed(session_, own_, job, settings_.lock_timeout);
  look(dressed, job, last.locks);
  const pg::Transaction undone(session_, dressed.begin_text());
  for (const auto& statement : last.statements) dressed.run(statement);
}

// Rows may have been written without a column since it was announced: then it stays as it is now.
bool Executor::undo_transaction(const jobs::Job& job, const jobs::StoredStep& step,
                                const std::string& end) {
  try {
    return run_step(job, step, undo_now(step), end);
  } catch (const Error& error) {
    if (session_.broken() || !step.step.late || error.retry() != Retry::never ||
        jobs::not_ended(error))
      throw;
    log::warning("NOT NULL of a column could not be restored",
                 {{"job", job.claim.job.str()}, {"reason", error.what()}});
    pg::Transaction(session_).commit("SET LOCAL search_path = pg_catalog; " + end);
    return job.role != own_.login;
  }
}

bool Executor::undo(const jobs::Job& job, const Report& reason) {
  if (!job.transactional) return true;
  auto steps = jobs::steps(session_, job.claim.job);
  if (steps.empty()) return true;
  // Behind the cut-over there is no way back, only forward.
  const bool cancel = reason.sqlstate == "57014";
  if (std::any_of(steps.begin(), steps.end(), [&](const auto& step) {
        return (step.step.no_return || (step.step.late && cancel)) && step.state == "done";
      })) {
    jobs::go_on(session_, job.claim);
    run_steps(job, steps);
    return false;
  }
  std::reverse(steps.begin(), steps.end());
  if (!jobs::begin_rollback(session_, job.claim, reason)) {
    log::warning("claim lost", {{"job", job.claim.job.str()}});
    return false;
  }
  bool foreign = false;
  // The version of the first one that is taken back need not be waited for: without it the shape is
  // the one before it again.
  bool waits = std::any_of(steps.begin(), steps.end(),
                           [](const auto& step) { return step.state == "undone"; });
  for (const auto& step : steps) {
    if (step.state == "pending" || step.state == "undone") continue;
    if (waits) wait_until_synced(job, true);
    waits = true;
    log::info("step is taken back",
              {{"job", job.claim.job.str()}, {"step", std::to_string(step.seq)}});
    testpoint::reach("before_undo");
    const std::string end = jobs::undo_step_text(job.claim, step);
    const auto kind = step.step.kind;
    if (kind == plan::StepKind::transaction) {
      foreign = undo_transaction(job, step, end) || foreign;
    } else if (kind == plan::StepKind::backfill || kind == plan::StepKind::probe ||
               undo_outside(job, step)) {
      pg::Transaction(session_).commit(end);
    } else {
      // There is no way back from here, only forward.
      jobs::go_on(session_, job.claim);
      run_steps(job, jobs::steps(session_, job.claim.job));
      return false;
    }
    if (foreign) break;
  }
  if (!foreign) {
    if (waits) wait_until_synced(job, true);
    return true;
  }
  jobs::hand_back(session_, job.claim, std::chrono::milliseconds(0), false, std::nullopt);
  session_.poison();
  return false;
}

// Behind the cut-over there is nothing to go back to: what cannot be done is left undone, and said.
bool Executor::run_behind(const jobs::Job& job, const jobs::StoredStep& step,
                          const std::string& end) {
  try {
    return run_step(job, step, step.step.statements, end);
  } catch (const Error& error) {
    if (session_.broken() || error.retry() != Retry::never || jobs::not_ended(error)) throw;
    log::warning("a constraint stays NOT VALID", {{"job", job.claim.job.str()},
                                                  {"step", std::to_string(step.seq)},
                                                  {"reason", error.what()}});
    pg::Transaction(session_).commit("SET LOCAL search_path = pg_catalog; " + end);
    return job.role != own_.login;
  }
}

// By the name that the table has now.
std::vector<std::string> Executor::undo_now(const jobs::StoredStep& step) {
  const auto now = jobs::target_now(session_, step);
  std::vector<std::string> statements;
  for (auto statement : step.step.undo) {
    const auto at = statement.find(step.step.target);
    // What went with the table need not be taken back.
    if (now.empty() && at != std::string::npos) continue;
    if (!now.empty() && at != std::string::npos)
      statement.replace(at, step.step.target.size(), now);
    statements.push_back(std::move(statement));
  }
  return statements;
}

// What it left is told from what was there before: nothing else is touched.
bool Executor::undo_outside(const jobs::Job& job, const jobs::StoredStep& step) {
  const auto unit = parse::parse_one(step.step.statements.front());
  const auto session = dressed_session(job);
  JobSession dressed(*session, own_, job, settings_.long_lock_timeout);
  dressed.dress_session();
  const Outside outside(session_, job, unit);
  const auto before = jobs::before_outside(session_, job.claim.job, step.seq);
  if (outside.no_way_back(*session) || outside.dropped_already(*session, before)) return false;
  outside.take_back(*session, before, jobs::target_now(session_, step));
  return true;
}

}  // namespace lockkeeper::workers
