#include "jobs/queue.hpp"

#include <nlohmann/json.hpp>

#include "sql/queries.hpp"

namespace lockkeeper::jobs {
namespace {

Job job_from(const pg::Row& row) {
  Job job;
  job.claim = {JobId{row.integer("id")}, Epoch{row.integer("epoch")}};
  job.action = row.text("action");
  job.statements = nlohmann::json::parse(row.text("statements")).get<std::vector<std::string>>();
  job.role = row.text("role");
  job.search_path = row.text("search_path");
  job.settings =
      nlohmann::json::parse(row.text("settings")).get<std::map<std::string, std::string>>();
  job.parsed = row.boolean("parsed");
  job.transactional = row.boolean("transactional");
  job.opaque = row.boolean("opaque");
  job.unparsed_run = row.boolean("unparsed_run");
  job.outside_started = row.boolean("outside_started");
  job.tries = static_cast<int>(row.integer("tries"));
  job.crashes = static_cast<int>(row.integer("crashes"));
  job.waited_seconds = row.real("waited");
  if (!row.null("error"))
    job.cancel_wanted = nlohmann::json::parse(row.text("error")).value("cancel", false);
  return job;
}

std::optional<std::string> json_or_null(const std::optional<Report>& error) {
  return error ? std::optional(to_json(*error)) : std::nullopt;
}

}  // namespace

WorkerIdentity register_worker(pg::Session& session, const std::string& name) {
  // Somebody may sit on a future id: there are enough of them.
  for (int i = 0; i < 1000; ++i) {
    const auto rows = session.run(sql::jobs_register_worker);
    if (rows.front().boolean("held")) return {WorkerId{rows.front().integer("id")}, name};
  }
  throw Error(Retry::new_session, "somebody holds the locks of all worker ids", "55P03");
}

std::optional<Job> claim(pg::Session& session, const WorkerIdentity& worker, bool reorg_too) {
  const auto rows = session.run(sql::jobs_claim, pg::Params::of(worker.id, worker.name, reorg_too));
  if (rows.empty()) return std::nullopt;
  return job_from(rows.front());
}

std::optional<Job> next_unparsed(pg::Session& session) {
  const auto rows = session.run(sql::jobs_next_unparsed);
  if (rows.empty()) return std::nullopt;
  return job_from(rows.front());
}

Standing standing_of(pg::Session& session, const Claim& claim) {
  const auto rows = session.run(sql::jobs_standing, pg::Params::of(claim.job, claim.epoch));
  if (rows.empty()) return Standing::lost;
  return rows.front().text("state") == "running" ? Standing::held : Standing::cancelling;
}

Ended end(pg::Session& session, const Claim& claim, JobState final,
          const std::optional<Report>& error, const std::string& steps) {
  const auto rows = session.run(
      sql::jobs_end, pg::Params::of(claim.job, claim.epoch, std::string(to_string(final)),
                                    json_or_null(error), steps));
  const auto& outcome = rows.front().text("outcome");
  if (outcome == "ended") return Ended::ended;
  return outcome == "cancelling" ? Ended::cancelling : Ended::lost;
}

void end_unparsed(pg::Session& session, JobId job, const Report& error) {
  session.run(sql::jobs_end_unparsed, pg::Params::of(job, to_json(error)));
}

bool hand_back(pg::Session& session, const Claim& claim, std::chrono::milliseconds delay,
               bool counts, const std::optional<Report>& error) {
  const auto rows = session.run(sql::jobs_hand_back,
                                pg::Params::of(claim.job, claim.epoch, std::int64_t{delay.count()},
                                               counts, json_or_null(error)));
  return !rows.empty();
}

bool begin_outside(pg::Session& session, const Claim& claim, const std::string& kind,
                   const std::string& statement, const std::string& before) {
  return !session
              .run(sql::jobs_begin_outside,
                   pg::Params::of(claim.job, claim.epoch, kind, statement, before))
              .empty();
}

std::string before_outside(pg::Session& session, JobId job) {
  const auto rows = session.run(sql::jobs_before_outside, pg::Params::of(job));
  return rows.empty() ? std::string() : rows.front().text("before");
}

std::vector<Reclaimed> reclaim_lost(pg::Session& session) {
  std::vector<Reclaimed> reclaimed;
  for (const auto row : session.run(sql::jobs_reclaim_lost))
    reclaimed.push_back({JobId{row.integer("id")}, row.text("worker")});
  return reclaimed;
}

std::optional<std::chrono::milliseconds> next_retry(pg::Session& session) {
  const auto rows = session.run(sql::jobs_next_retry);
  if (rows.empty() || rows.front().null("due_ms")) return std::nullopt;
  return std::chrono::milliseconds(rows.front().integer("due_ms"));
}

std::vector<ToCancel> cancelling(pg::Session& session) {
  std::vector<ToCancel> result;
  for (const auto row : session.run(sql::jobs_cancelling))
    result.push_back({JobId{row.integer("id")}, WorkerId{row.integer("claimed_by")}});
  return result;
}

}  // namespace lockkeeper::jobs
