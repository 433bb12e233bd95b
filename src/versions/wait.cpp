#include "versions/wait.hpp"

#include <nlohmann/json.hpp>

#include "sql/queries.hpp"

namespace lockkeeper::versions {
namespace {

std::string seconds(double value) { return std::to_string(static_cast<int>(value)) + " s"; }

Blocker blocker_from(const pg::Row& row) {
  Blocker blocker;
  blocker.job = JobId{row.integer("job_id")};
  blocker.version = row.integer("version");
  blocker.waited = row.real("waited");
  blocker.is_node = row.text("blocker") == "node";
  blocker.node = row.integer("node_id");
  blocker.name = row.text("name");
  blocker.node_version = row.integer("node_version");
  blocker.lease_left = row.real("lease_left");
  blocker.pid = static_cast<int>(row.integer("pid"));
  blocker.role = row.text("role");
  blocker.application = row.text("application");
  blocker.state = row.text("transaction_state");
  blocker.age = row.real("transaction_age");
  blocker.relation = row.text("relation");
  blocker.query = row.text("query");
  blocker.action = row.text("action");
  blocker.job_state = row.text("state");
  blocker.step = static_cast<int>(row.integer("step"));
  return blocker;
}

}  // namespace

std::string who(const Blocker& blocker) {
  if (blocker.is_node) return "node " + blocker.name;
  return blocker.pid == 0 ? "prepared transaction " + blocker.name
                          : "pid " + std::to_string(blocker.pid);
}

std::string words_for(const Blocker& blocker) {
  if (blocker.is_node)
    return who(blocker) + (blocker.node_version < 0
                               ? " (loading)"
                               : " (version " + std::to_string(blocker.node_version) + " of " +
                                     std::to_string(blocker.version) + ")");
  std::string words = who(blocker) + ", which has used " + blocker.relation +
                      " since before version " + std::to_string(blocker.version);
  words += ", for " + seconds(blocker.age > 0 ? blocker.age : blocker.waited);
  if (!blocker.role.empty())
    words += " (role " + blocker.role + ", application \"" + blocker.application + "\"" +
             (blocker.state.empty() ? ")" : ", " + blocker.state + ")");
  return words;
}

bool is_synced(pg::Session& session, JobId job, std::vector<double>* acks) {
  const auto rows = session.run(sql::versions_is_synced, pg::Params::of(job));
  const auto row = rows.front();
  if (acks != nullptr) *acks = nlohmann::json::parse(row.text("acks")).get<std::vector<double>>();
  return row.boolean("synced");
}

std::optional<Patience> patience_of(pg::Session& session, JobId job) {
  const auto rows = session.run(sql::versions_standing, pg::Params::of(job));
  if (rows.empty()) return std::nullopt;
  const auto row = rows.front();
  const auto& then = row.text("on_timeout");
  return Patience{row.real("waited"), row.integer("timeout"),
                  then == "pause"    ? OnTimeout::pause
                  : then == "cancel" ? OnTimeout::cancel
                                     : OnTimeout::wait,
                  row.integer("kill_after")};
}

std::vector<Blocker> blockers(pg::Session& session, std::optional<JobId> job) {
  const auto wanted = job ? std::optional(job->str()) : std::nullopt;
  std::vector<Blocker> found;
  for (const auto row : session.run(sql::versions_blockers, pg::Params::of(wanted)))
    found.push_back(blocker_from(row));
  return found;
}

bool kill(pg::Session& session, const Blocker& blocker) {
  const auto rows = session.run(sql::versions_kill, pg::Params::of(blocker.pid, blocker.job));
  return !rows.empty() && rows.front().boolean("ended");
}

std::vector<Node> nodes(pg::Session& session) {
  std::vector<Node> found;
  for (const auto row : session.run(sql::versions_nodes)) {
    Node node;
    node.id = row.integer("id");
    node.name = row.text("name");
    node.role = row.text("role");
    node.version = row.integer("version");
    node.lag = row.integer("lag");
    node.pid = static_cast<int>(row.integer("pid"));
    node.lease = row.real("lease");
    node.lease_left = row.real("lease_left");
    if (!row.null("gone")) node.gone = row.real("gone");
    node.age = row.real("age");
    if (!row.null("holds_up"))
      for (const auto& job : nlohmann::json::parse(row.text("holds_up")))
        node.holds_up.push_back(JobId{job.get<std::int64_t>()});
    found.push_back(std::move(node));
  }
  return found;
}

std::vector<std::string> wake_synced(pg::Session& session) {
  std::vector<std::string> pools;
  for (const auto row : session.run(sql::versions_wake)) pools.push_back(row.text("pool"));
  return pools;
}

bool remove_node(pg::Session& session, std::int64_t node) {
  return session.run(sql::versions_remove, pg::Params::of(node)).front().boolean("known");
}

bool any_nodes(pg::Session& session) {
  return session.run(sql::versions_any_nodes).front().boolean("some");
}

std::vector<Buried> bury_nodes(pg::Session& session) {
  std::vector<Buried> buried;
  for (const auto row : session.run(sql::versions_bury))
    buried.push_back({row.integer("id"), row.text("name"), row.text("why")});
  return buried;
}

}  // namespace lockkeeper::versions
