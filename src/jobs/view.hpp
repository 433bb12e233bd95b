#pragma once
// Jobs and history as people see them: the rows of the views lockkeeper.jobs and
// lockkeeper.history, as JSON objects, so that the CLI and psql always agree.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "pg/session.hpp"

namespace lockkeeper::jobs {

using Json = nlohmann::ordered_json;

/// Unfinished jobs, in id order, at most `limit`; those in `state`, or all when it is empty.
std::vector<Json> list(pg::Session& session, int limit, const std::string& state = {});
/// Ended jobs, newest first, at most `limit`. `wanted`: the filters of lockkeeper.find_history
/// {"object", "action", "state", "role", "batch", "since", "until", "before"}; {} for all.
std::vector<Json> history(pg::Session& session, const Json& wanted, int limit);
/// Ended jobs of the last seven days, counted by action and state.
std::vector<Json> statistics(pg::Session& session);

/// A job of the queue and the jobs that it waits for next, with the object that they share.
struct GraphNode {
  JobId id;
  std::string state;
  std::string action;
  std::string statement;
  std::vector<std::pair<JobId, std::string>> waits_for;
};
/// The dependency graph of the first `limit` unfinished jobs, in id order.
std::vector<GraphNode> graph(pg::Session& session, int limit);
/// One job, wherever it is, with all its fields; empty: there is none.
std::optional<Json> show(pg::Session& session, JobId job);
/// State of each of `ids`, where they are now: {id, state, action, dependency_id, error, …}.
std::vector<Json> states(pg::Session& session, const std::vector<JobId>& ids);

/// Other transactions that have held locks of the queue itself for more than a second, oldest
/// first:
/// {"blocker": "queue", "pid", "prepared", "role", "application", "transaction_state",
/// "transaction_age_seconds", "whole_queue", "query"}. Submissions for the same objects, and the
/// ends of jobs of them, wait for those.
std::vector<Json> holders(pg::Session& session);

/// Makes what this session has seen durable: workers do not wait for the disk after each job (the
/// job and its change are one commit, so a crash takes both or neither), but who tells somebody
/// that a job has ended must.
void confirm(pg::Session& session);

}  // namespace lockkeeper::jobs
