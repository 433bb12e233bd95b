// Look before waiting: who is in the way of a job, among the application's transactions and among
// those that hold locks of the queue itself (promises 9 and 10).
#include <nlohmann/json.hpp>

#include "base/log.hpp"
#include "catalog/reader.hpp"
#include "plan/lock_rules.hpp"
#include "sql/queries.hpp"
#include "workers/executor.hpp"

namespace lockkeeper::workers {
namespace {

std::string text_or(const pg::Row& row, const char* column, const std::string& otherwise) {
  return row.null(column) ? otherwise : row.text(column);
}

// The query may be no business of the role that submitted the job.
Report blocker_report(const pg::Row& row, double age, bool with_query) {
  Report report;
  report.sqlstate = "55P03";
  const std::string who = row.null("pid") ? "prepared transaction " + text_or(row, "gid", "?")
                                          : "pid " + row.text("pid");
  report.message = "waits for " + who + ", which holds " + row.text("held") + " on " +
                   row.text("object") + " for " + std::to_string(static_cast<int>(age)) + " s";
  if (!row.null("role"))
    report.message += " (role " + row.text("role") + ", application \"" +
                      text_or(row, "application", "") + "\", " + text_or(row, "state", "?") + ")";
  if (with_query) report.detail = text_or(row, "query", "");
  report.waits_for = "lock";
  report.held_seconds = age;
  return report;
}

}  // namespace

std::vector<plan::TableLock> Executor::locks_of(const jobs::Job& job) const {
  std::vector<plan::TableLock> locks;
  if (job.unparsed_run) return locks;
  for (const auto& text : job.statements)
    for (const auto& statement : parse::parse(text))
      for (const auto& part : statement.parts)
        for (auto& lock : plan::locks_of(part, {}))
          if (lock.mode != plan::LockMode::none) locks.push_back(std::move(lock));
  return locks;
}

// The oldest of them that has been there for longer than a lock is waited for.
std::optional<Report> Executor::oldest_of(const pg::Rows& rows, bool with_query, Seen& seen) {
  const auto now = std::chrono::steady_clock::now();
  std::optional<Report> report;
  double oldest = std::chrono::duration<double>(settings_.lock_timeout).count();
  for (const auto row : rows) {
    const auto known = seen_.find(row.text("transaction"));
    const auto first = known == seen_.end() ? now : known->second;
    seen[row.text("transaction")] = first;
    const double age =
        row.null("age") ? std::chrono::duration<double>(now - first).count() : row.real("age");
    if (row.boolean("autovacuum")) stop_autovacuum(static_cast<int>(row.integer("pid")));
    if (age < oldest) continue;
    oldest = age;
    report = blocker_report(row, age, with_query);
  }
  return report;
}

void Executor::look(const JobSession& dressed, const jobs::Job& job,
                    const std::vector<plan::TableLock>& locks) {
  std::vector<std::string> names;
  for (const auto& lock : locks) names.push_back(lock.object);
  const auto rows = [&] {
    const pg::Transaction tx(session_, dressed.begin_text());
    const auto oids = catalog::resolve(session_, names);
    nlohmann::json wanted = nlohmann::json::array();
    for (const auto& lock : locks)
      if (const auto found = oids.find(lock.object); found != oids.end())
        wanted.push_back({found->second, to_string(lock.mode)});
    const catalog::SafeSearchPath safe(session_);
    return session_.run(sql::workers_blockers, pg::Params::of(wanted.dump()));
  };
  Seen seen;
  auto report = locks.empty() ? std::nullopt : oldest_of(rows(), dressed.trusted(), seen);
  if (!report) report = held_in_queue(job, seen);
  seen_ = std::move(seen);
  if (!report) return;
  // The longer it has been there, the longer it may stay.
  const auto fifth =
      std::chrono::milliseconds(static_cast<int>(std::min(report->held_seconds, 5.0) * 200));
  look_again_after_ = std::max(std::chrono::milliseconds(50), fifth);
  metrics_.count(metrics::lock_refused_total, labels({{"why", "look"}}));
  throw Error(Retry::same_session, *report, kLook);
}

std::optional<Report> Executor::held_in_queue(const jobs::Job& job, Seen& seen) {
  return oldest_of(session_.run(sql::workers_queue_holders, pg::Params::of(job.claim.job)),
                   job.role == own_.login, seen);
}

// Only a superuser may, or a member of pg_signal_autovacuum_worker (18); others wait for its end.
void Executor::stop_autovacuum(int pid) {
  try {
    session_.run(sql::workers_cancel_backend, pg::Params::of(pid));
    metrics_.count(metrics::autovacuum_stopped_total, labels());
    log::info("autovacuum stopped", {{"pid", std::to_string(pid)}});
  } catch (const Error&) {
    if (session_.broken()) throw;
  }
}

}  // namespace lockkeeper::workers
