#include "jobs/queue.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pg/quote.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::jobs {
namespace {

std::optional<std::string> process_of(const WorkerIdentity& worker) {
  return worker.process == 0 ? std::nullopt : std::optional(std::to_string(worker.process));
}

std::string array_of(const std::vector<Job>& jobs, std::string (*text)(const Job&)) {
  std::string array = "{";
  for (const auto& job : jobs) array += (array.size() > 1 ? "," : "") + text(job);
  return array + "}";
}

std::optional<std::string> json_or_null(const std::optional<Report>& error) {
  return error ? std::optional(to_json(*error)) : std::nullopt;
}

// Those of one submitter hardly ever differ from those of the next.
const std::map<std::string, std::string>& settings_from(const std::string& text) {
  thread_local std::string known_text;
  thread_local std::map<std::string, std::string> known;
  if (text != known_text) {
    known = nlohmann::json::parse(text).get<std::map<std::string, std::string>>();
    known_text = text;
  }
  return known;
}

}  // namespace

Job job_from(const pg::Row& row) {
  Job job;
  job.claim = {JobId{row.integer("id")}, Epoch{row.integer("epoch")}};
  job.action = row.text("action");
  job.statements = nlohmann::json::parse(row.text("statements")).get<std::vector<std::string>>();
  job.role = row.text("role");
  job.search_path = row.text("search_path");
  job.settings = settings_from(row.text("settings"));
  job.parsed = row.boolean("parsed");
  job.transactional = row.boolean("transactional");
  job.opaque = row.boolean("opaque");
  job.unparsed_run = row.boolean("unparsed_run");
  job.instant = row.boolean("instant");
  job.outside_started = row.boolean("outside_started");
  job.tries = static_cast<int>(row.integer("tries"));
  job.crashes = static_cast<int>(row.integer("crashes"));
  job.waited_seconds = row.real("waited");
  if (!row.null("error"))
    job.cancel_wanted = nlohmann::json::parse(row.text("error")).value("cancel", false);
  if (job.cancel_wanted) job.failure = report_from_json(row.text("error"));
  return job;
}

void register_session(pg::Session& session) { session.run(sql::jobs_register_session); }

WorkerIdentity register_worker(pg::Session& session, const std::string& name) {
  register_session(session);
  // Somebody may sit on a future id: there are enough of them.
  for (int i = 0; i < 1000; ++i) {
    const auto rows = session.run(sql::jobs_register_worker);
    if (rows.front().boolean("held")) return {WorkerId{rows.front().integer("id")}, name};
  }
  throw Error(Retry::new_session, "somebody holds the locks of all worker ids", "55P03");
}

std::vector<Job> claim(pg::Session& session, const WorkerIdentity& worker, int most) {
  std::vector<Job> jobs;
  for (const auto row :
       session.run(sql::jobs_claim,
                   pg::Params::of(worker.id, worker.name, process_of(worker), worker.pool, most)))
    jobs.push_back(job_from(row));
  return jobs;
}

std::vector<Job> claim_more(pg::Session& session, const WorkerIdentity& worker, const Job& head,
                            int most) {
  std::vector<Job> jobs;
  for (const auto row : session.run(
           sql::jobs_claim_more,
           pg::Params::of(head.claim.job, worker.id, worker.name, process_of(worker), most)))
    jobs.push_back(job_from(row));
  std::sort(jobs.begin(), jobs.end(),
            [](const Job& a, const Job& b) { return a.claim.job < b.claim.job; });
  return jobs;
}

void lock_barrier(pg::Session& session) { session.run(sql::jobs_lock_barrier); }

std::optional<Job> next_unparsed(pg::Session& session) {
  const auto rows = session.run(sql::jobs_next_unparsed);
  if (rows.empty()) return std::nullopt;
  return job_from(rows.front());
}

Standing standing_of(pg::Session& session, const Claim& claim, bool* its_turn) {
  const auto rows = session.run(sql::jobs_standing, pg::Params::of(claim.job, claim.epoch));
  if (rows.empty()) return Standing::lost;
  if (its_turn != nullptr) *its_turn = rows.front().integer("waits") == 0;
  const auto& state = rows.front().text("state");
  if (state == "running") return Standing::held;
  return state == "pausing" ? Standing::pausing : Standing::cancelling;
}

std::string end_well_text(const std::vector<Job>& jobs, const std::string& steps,
                          const WorkerIdentity& worker, int claims_most, EndOptions options) {
  const auto array = [&](std::string (*text)(const Job&)) {
    return pg::quote_literal(array_of(jobs, text)) + ", ";
  };
  return "SELECT lockkeeper.end_jobs(" + array([](const Job& job) { return job.claim.job.str(); }) +
         array([](const Job& job) { return job.claim.epoch.str(); }) + pg::quote_literal(steps) +
         ", " + std::to_string(claims_most) + ", " + worker.id.str() + ", " +
         pg::quote_literal(worker.name) + ", " + process_of(worker).value_or("NULL") + ", " +
         pg::quote_literal(worker.pool) + (options.anyway ? ", true" : ", false") +
         (options.locked ? ", true)" : ", false)");
}

std::string lock_text(const std::vector<Job>& jobs) {
  return "SELECT lockkeeper.lock_footprints(" +
         pg::quote_literal(array_of(jobs, [](const Job& job) { return job.claim.job.str(); })) +
         ");";
}

std::optional<NotEnded> not_ended(const Error& error) {
  if (error.sqlstate() == "LK001") return NotEnded::lost;
  if (error.sqlstate() == "LK002") return NotEnded::stopping;
  return std::nullopt;
}

void check_claim(pg::Session& session, const Claim& claim) {
  const auto standing = standing_of(session, claim);
  if (standing == Standing::held) return;
  const bool lost = standing == Standing::lost;
  throw Error(Retry::never, lost ? "claim lost" : "to be stopped", lost ? "LK001" : "LK002");
}

Claimed claimed(pg::Session& session) {
  Claimed claimed;
  for (const auto row : session.run(sql::jobs_claimed)) {
    claimed.made_ready = static_cast<int>(row.integer("made_ready"));
    claimed.done = static_cast<int>(row.integer("done"));
    if (!row.null("id")) claimed.jobs.push_back(job_from(row));
  }
  return claimed;
}

void go_on(pg::Session& session, const Claim& claim) {
  session.run(sql::jobs_go_on, pg::Params::of(claim.job, claim.epoch));
}

bool end_paused(pg::Session& session, const Claim& claim) {
  return !session.run(sql::jobs_end_paused, pg::Params::of(claim.job, claim.epoch)).empty();
}

bool fail(pg::Session& session, const Claim& claim, const Report& error) {
  return session.run(sql::jobs_fail, pg::Params::of(claim.job, claim.epoch, to_json(error)))
      .front()
      .boolean("held");
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
                   const std::string& statement, const std::string& before, int backend, int seq) {
  return !session
              .run(sql::jobs_begin_outside,
                   pg::Params::of(claim.job, claim.epoch, kind, statement, before, backend, seq))
              .empty();
}

std::string before_outside(pg::Session& session, JobId job, int seq) {
  const auto rows = session.run(sql::jobs_before_outside, pg::Params::of(job, seq));
  return rows.empty() ? std::string() : rows.front().text("before");
}

std::vector<Reclaimed> reclaim_lost(pg::Session& session, int crashes_most) {
  std::vector<Reclaimed> reclaimed;
  for (const auto row : session.run(sql::jobs_reclaim_lost, pg::Params::of(crashes_most)))
    reclaimed.push_back({JobId{row.integer("id")}, row.text("worker"), row.text("state")});
  return reclaimed;
}

std::vector<Reclaimed> end_silent(pg::Session& session) {
  std::vector<Reclaimed> ended;
  for (const auto row : session.run(sql::jobs_end_silent))
    ended.push_back({JobId{row.integer("id")}, row.text("worker"), "running"});
  return ended;
}

std::int64_t heartbeat(pg::Session& session, std::int64_t id, const std::string& name,
                       std::chrono::milliseconds lease) {
  const auto known = id == 0 ? std::nullopt : std::optional(std::to_string(id));
  return session
      .run(sql::jobs_heartbeat, pg::Params::of(known, name, static_cast<int>(lease.count())))
      .front()
      .integer("id");
}

bool any_claims(pg::Session& session) {
  return session.run(sql::jobs_any_claims).front().boolean("some");
}

std::map<std::string, int> ready_pools(pg::Session& session) {
  std::map<std::string, int> ready;
  for (const auto row : session.run(sql::jobs_ready_pools)) {
    int count = static_cast<int>(row.integer("ready"));
    if (row.text("pool") == kGeneral && row.boolean("unparsed")) ++count;
    ready[row.text("pool")] = count;
  }
  return ready;
}

std::map<std::string, std::string> settings(pg::Session& session) {
  std::map<std::string, std::string> known;
  for (const auto row : session.run(sql::jobs_settings))
    known[row.text("name")] = row.text("value");
  return known;
}

void raise_floor(pg::Session& session) { session.run(sql::jobs_raise_floor); }

std::vector<Settled> finish_done(pg::Session& session, int most) {
  std::vector<Settled> ended;
  for (const auto row : session.run(sql::jobs_finish_done, pg::Params::of(most)))
    ended.push_back({JobId{row.integer("id")},
                     nlohmann::json::parse(row.text("acks")).get<std::vector<double>>()});
  return ended;
}

DoneJobs any_done(pg::Session& session) {
  const auto row = session.run(sql::jobs_any_done);
  return {row.front().boolean("some"), row.front().boolean("nodes")};
}

void pause_self(pg::Session& session, const Claim& claim, const Report& reason) {
  session.run(sql::jobs_pause_self, pg::Params::of(claim.job, claim.epoch, to_json(reason)));
}

std::string need_no_nodes_text() { return "; SELECT lockkeeper.need_no_nodes()"; }

int purge_diffs(pg::Session& session, int most) {
  return static_cast<int>(
      session.run(sql::jobs_purge_diffs, pg::Params::of(most)).front().integer("purged"));
}

int purge_history(pg::Session& session, int most) {
  return static_cast<int>(
      session.run(sql::jobs_purge_history, pg::Params::of(most)).front().integer("purged"));
}

std::optional<std::chrono::milliseconds> next_retry(pg::Session& session) {
  const auto rows = session.run(sql::jobs_next_retry);
  if (rows.empty() || rows.front().null("due_ms")) return std::nullopt;
  return std::chrono::milliseconds(rows.front().integer("due_ms"));
}

std::vector<JobId> stopping(pg::Session& session) {
  std::vector<JobId> result;
  for (const auto row : session.run(sql::jobs_stopping)) result.push_back(JobId{row.integer("id")});
  return result;
}

}  // namespace lockkeeper::jobs
