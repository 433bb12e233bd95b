#include "workers/reporter.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "sql/queries.hpp"

namespace lockkeeper::workers {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kSizesEvery{30};
constexpr int kNodesMost = 100;

const std::set<std::string> kCauses = {"dependency", "slot",     "lock",  "node",   "transaction",
                                       "throttle",   "cut-over", "retry", "paused", "queue"};

// What is counted or at most, by one label.
using ByName = std::map<std::string, double>;

std::vector<metrics::Sample> samples_of(const ByName& values, const char* label) {
  std::vector<metrics::Sample> samples;
  for (const auto& [name, value] : values) samples.push_back({{{label, name}}, value});
  return samples;
}

// A line in a diagram that is there all the time, for each.
ByName zeros(const std::set<std::string>& names) {
  ByName values;
  for (const auto& name : names) values[name] = 0;
  return values;
}

void at_most(ByName& values, const std::string& name, double value) {
  values[name] = std::max(values[name], value);
}

}  // namespace

void Reporter::report(pg::Session& session) {
  const auto begun = Clock::now();
  report_jobs(session);
  report_database(session);
  report_nodes(session);
  if (begun >= next_size_) {
    report_tables(session);
    next_size_ = begun + kSizesEvery;
  }
  last_ = begun;
  const std::chrono::duration<double> took = Clock::now() - begun;
  put(metrics::report_seconds, {{{}, took.count()}});
}

void Reporter::forget() {
  for (const auto& metric : put_) metrics_.replace(metric, database_, {});
  last_ = {};
  held_.clear();
  next_size_ = {};
}

void Reporter::put(metrics::Metric metric, const std::vector<metrics::Sample>& samples) {
  if (std::none_of(put_.begin(), put_.end(),
                   [&](const auto& known) { return known.index == metric.index; }))
    put_.push_back(metric);
  metrics_.replace(metric, database_, samples);
}

void Reporter::report_jobs(pg::Session& session) {
  const std::chrono::duration<double> since =
      last_ == Clock::time_point() ? Clock::duration(0) : Clock::now() - last_;
  std::vector<metrics::Sample> jobs;
  std::map<std::pair<std::string, std::string>, double> by_action;
  ByName oldest;
  std::map<std::string, std::int64_t> first;
  ByName blocked = zeros(kCauses);
  ByName held = zeros(kCauses);
  ByName blockers = zeros({"lock", "node", "transaction"});
  for (const auto row : session.run(sql::workers_report_jobs)) {
    const auto& state = row.text("state");
    const auto count = row.real("jobs");
    by_action[{state, row.text("action")}] += count;
    at_most(oldest, state, row.real("oldest_seconds"));
    if (row.null("cause")) continue;
    const auto& cause = row.text("cause");
    blocked[cause] += count;
    if (!row.null("held_seconds")) at_most(held, cause, row.real("held_seconds"));
    first[cause] = first.count(cause) == 0 ? row.integer("first_job")
                                           : std::min(first[cause], row.integer("first_job"));
    if (blockers.count(cause) != 0) at_most(blockers, cause, row.real("blocker_seconds"));
    metrics_.count(metrics::blocked_seconds_total, {{"database", database_}, {"cause", cause}},
                   count * since.count());
  }
  for (const auto& [cause, seconds] : watch(first)) at_most(held, cause, seconds);
  for (const auto& [key, count] : by_action)
    jobs.push_back({{{"state", key.first}, {"action", key.second}}, count});
  put(metrics::jobs, jobs);
  put(metrics::oldest_job_seconds, samples_of(oldest, "state"));
  put(metrics::jobs_blocked, samples_of(blocked, "cause"));
  put(metrics::blocked_oldest_seconds, samples_of(held, "cause"));
  put(metrics::blocker_seconds, samples_of(blockers, "cause"));
}

// A job that looks again whether the lock is free does not run for it: it may be missed once or
// twice.
std::map<std::string, double> Reporter::watch(const std::map<std::string, std::int64_t>& first) {
  constexpr int kMissedMost = 2;
  const auto now = Clock::now();
  std::map<std::string, double> seconds;
  for (const auto& [cause, job] : first) {
    auto& held = held_[cause];
    if (held.job != job) held = {job, now, 0};
    held.missed = 0;
  }
  for (auto it = held_.begin(); it != held_.end();) {
    if (first.count(it->first) == 0 && ++it->second.missed > kMissedMost) {
      it = held_.erase(it);
      continue;
    }
    seconds[it->first] = std::chrono::duration<double>(now - it->second.since).count();
    ++it;
  }
  return seconds;
}

void Reporter::report_database(pg::Session& session) {
  const auto rows = session.run(sql::workers_report_database);
  const auto row = rows.front();
  const std::pair<metrics::Metric, const char*> values[] = {
      {metrics::schema_version, "schema_version"}, {metrics::schema_migrations, "migrations"},
      {metrics::processes, "processes"},           {metrics::history_jobs, "history"},
      {metrics::replication_lag_seconds, "lag"},   {metrics::stalled_sessions, "stalled"},
      {metrics::trash_tables, "trash_tables"},     {metrics::trash_bytes, "trash_bytes"},
      {metrics::backfills, "backfills"},           {metrics::backfills_throttled, "throttled"},
      {metrics::backfill_done_ratio, "done"}};
  for (const auto& [metric, column] : values)
    if (row.null(column))
      put(metric, {});
    else
      put(metric, {{{}, row.real(column)}});
}

void Reporter::report_tables(pg::Session& session) {
  ByName bytes, dead;
  for (const auto row : session.run(sql::workers_report_tables)) {
    bytes[row.text("name")] = row.real("bytes");
    dead[row.text("name")] = row.real("dead");
  }
  put(metrics::table_bytes, samples_of(bytes, "table"));
  put(metrics::table_dead_rows, samples_of(dead, "table"));
}

void Reporter::report_nodes(pg::Session& session) {
  // Those that are there, so that an alert on one of them can be told from one on nothing.
  ByName states = {{"up to date", 0}, {"behind", 0}, {"loading", 0}, {"gone", 0}};
  ByName lags;
  int count = 0;
  for (const auto row : session.run(sql::workers_report_nodes)) {
    const auto& state = row.text("state");
    ++states[state];
    // Whoever loads, or is gone, holds nobody up by its version.
    if (state != "loading" && state != "gone" && ++count <= kNodesMost)
      at_most(lags, row.text("name"), row.real("lag"));
  }
  put(metrics::nodes, samples_of(states, "state"));
  put(metrics::node_lag_versions, samples_of(lags, "node"));
}

}  // namespace lockkeeper::workers
